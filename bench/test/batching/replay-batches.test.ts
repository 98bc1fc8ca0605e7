import { createRandom } from '@open-autoglm/statistics';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changingArrivals, rateNear, replayBatches, replayStatic } from '../../src/batching/replay-batches.ts';

const serve = (_: number, count: number) => 10 + count;

describe('replayStatic', () => {
  it('seals a batch when it is full or its first text has waited, whatever the server does', () => {
    // Two at 0 and 1 ms fill a batch, which takes until 13; the third waits alone until 7, and then for the server.
    expect(replayStatic([0, 1, 2], { size: 2, timeoutMs: 5 }, serve)).toEqual([13, 12, 22]);
    // What comes after the timeout is in the next batch.
    expect(replayStatic([0, 5, 5.5], { size: 8, timeoutMs: 5 }, serve)).toEqual([17, 12, 22.5]);
  });

  it('answers everybody, none before its own batch could be, and a batch of one as a server asked one by one', () => {
    const gaps = fc.array(fc.double({ min: 0, max: 40, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 30 }), (list, size, timeoutMs) => {
        let atMs = 0;
        const arrivals = list.map((gap) => (atMs += gap));
        const latencies = replayStatic(arrivals, { size, timeoutMs }, serve);
        expect(latencies).toHaveLength(arrivals.length);
        for (const latency of latencies) expect(latency).toBeGreaterThan(10.999);
        const alone = replayStatic(arrivals, { size: 1, timeoutMs }, serve);
        const single = replayBatches(arrivals, { name: 'one', decide: () => ({ send: 1 }) }, serve);
        for (const [index, latency] of alone.entries()) expect(latency).toBeCloseTo(single[index] as number, 6);
      }),
    );
  });
});

describe('rateNear', () => {
  it('finds the bound to a tenth, from either side, with no more replays than allowed', () => {
    for (const guess of [80, 100, 125]) {
      let count = 0;
      const { rate, truth } = rateNear((perSecond) => (count += 1) > 0 && perSecond <= 100, guess, 6);
      expect(rate).toBeLessThanOrEqual(100);
      expect(rate).toBeGreaterThan(100 / 1.11);
      expect(count).toBeLessThanOrEqual(6);
      expect(truth).toBe('here');
    }
  });

  it('says where the bound lies when it was not found', () => {
    expect(rateNear((perSecond) => perSecond <= 100, 200, 4)).toMatchObject({ truth: 'below' });
    expect(rateNear((perSecond) => perSecond <= 100, 50, 4)).toMatchObject({ truth: 'above' });
  });
});

describe('changingArrivals', () => {
  it('come at the mean rate, in phases whose rates stand in the shares', () => {
    const [phases, phaseMs, perSecond] = [[0.3, 2, 0.7], 100_000, 50] as const;
    const arrivals = changingArrivals(perSecond, phases, phaseMs, createRandom(1));
    expect(arrivals).toEqual(arrivals.toSorted((a, b) => a - b));
    for (const [index, share] of phases.entries()) {
      const count = arrivals.filter((atMs) => Math.floor(atMs / phaseMs) === index).length;
      expect(Math.abs(count / (share * perSecond * 100) - 1)).toBeLessThan(0.05);
    }
  });
});
