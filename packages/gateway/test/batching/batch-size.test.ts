import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf, learn, noCosts } from '../../src/engines/batching/batch-costs.ts';
import { decideBatch, sizeFor } from '../../src/engines/batching/batch-size.ts';

describe('batch costs', () => {
  it('are found again from what batches took', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 50, noNaN: true }),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 5, maxLength: 200 }),
        (fixed, item, sizes) => {
          fc.pre(new Set(sizes).size > 1);
          const costs = sizes.reduce((known, size) => learn(known, size, fixed + item * size), noCosts);
          const cost = costOf(costs);
          expect(cost?.itemMs).toBeCloseTo(item, 3);
          expect(cost?.fixedMs).toBeCloseTo(fixed, 2);
        },
      ),
    );
  });

  it('are never less than nothing, whatever was measured', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0, max: 1000, noNaN: true })), { minLength: 3, maxLength: 50 }),
        (seen) => {
          const cost = costOf(seen.reduce((known, [size, ms]) => learn(known, size, ms), noCosts));
          expect(cost?.itemMs).toBeGreaterThanOrEqual(0);
          expect(cost?.fixedMs).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });

  it('follow a server that has become slower', () => {
    let costs = noCosts;
    for (let count = 0; count < 100; count += 1) costs = learn(costs, 1 + (count % 8), 1 + (count % 8));
    for (let count = 0; count < 300; count += 1) costs = learn(costs, 1 + (count % 8), 10 * (1 + (count % 8)));
    expect(costOf(costs)?.itemMs).toBeGreaterThan(9);
  });
});

describe('batch sizes', () => {
  const bounds = { sizeMax: 32, timeoutMs: 5 };
  const load = fc.record({
    waiting: fc.integer({ min: 0, max: 100 }),
    waitedMs: fc.double({ min: 0, max: 20, noNaN: true }),
    running: fc.integer({ min: 0, max: 5 }),
    arrivals: fc.double({ min: 0, max: 100, noNaN: true }),
    cost: fc.option(
      fc.record({ fixedMs: fc.double({ min: 0, max: 50, noNaN: true }), itemMs: fc.double({ min: 0, max: 10, noNaN: true }) }),
      { nil: undefined },
    ),
  });

  it('keep what is promised: an idle server at once, nobody beyond the timeout, no batch beyond the bound', () => {
    fc.assert(
      fc.property(load, (now) => {
        const { send, againMs } = decideBatch(now, bounds);
        expect(send).toBeLessThanOrEqual(Math.min(now.waiting, bounds.sizeMax));
        if (now.waiting === 0) expect([send, againMs]).toEqual([0, undefined]);
        else if (now.running === 0 || now.waitedMs >= bounds.timeoutMs || now.waiting >= bounds.sizeMax)
          expect(send).toBe(Math.min(now.waiting, bounds.sizeMax));
        // Whoever waits is looked at again in time.
        else if (send === 0) expect(now.waitedMs + (againMs as number)).toBeCloseTo(bounds.timeoutMs, 6);
      }),
    );
  });

  it('grow with the load, and with what a batch costs by itself; and keep up where that is possible', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 10, noNaN: true }),
        fc.double({ min: 0, max: 50, noNaN: true }),
        fc.double({ min: 0.01, max: 5, noNaN: true }),
        (arrivals, fixedMs, itemMs) => {
          const size = sizeFor(arrivals, { fixedMs, itemMs }, 1000);
          expect(sizeFor(arrivals * 1.5, { fixedMs, itemMs }, 1000)).toBeGreaterThanOrEqual(size);
          expect(sizeFor(arrivals, { fixedMs: fixedMs * 1.5, itemMs }, 1000)).toBeGreaterThanOrEqual(size);
          if (size < 1000) expect(size / (fixedMs + size * itemMs)).toBeGreaterThanOrEqual(arrivals);
        },
      ),
    );
  });
});
