import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rateNear, replayBatches, replayStatic } from '../../src/batching/replay-batches.ts';

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
      const rate = rateNear((perSecond) => (count += 1) > 0 && perSecond <= 100, guess, 6);
      expect(rate).toBeLessThanOrEqual(100);
      expect(rate).toBeGreaterThan(100 / 1.11);
      expect(count).toBeLessThanOrEqual(6);
    }
  });
});
