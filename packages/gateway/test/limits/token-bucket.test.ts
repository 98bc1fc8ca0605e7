import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryLimitStore } from '../../src/ingress/limits/memory-store.ts';
import { chargeOf, drained, waitFor } from '../../src/ingress/limits/token-bucket.ts';

const rate = fc.record({ capacity: fc.integer({ min: 1, max: 1000 }), drainMs: fc.constantFrom(1000, 60_000) });
const step = fc.record({
  passedMs: fc.double({ min: 0, max: 5000, noNaN: true }),
  cost: fc.integer({ min: 0, max: 1500 }),
  isBatch: fc.boolean(),
});

describe('a token bucket', () => {
  it('never admits more than its capacity and what drained since, over any stretch of time', () => {
    fc.assert(
      fc.property(rate, fc.array(step, { maxLength: 60 }), (of, steps) => {
        let nowMs = 0;
        const store = new MemoryLimitStore({ bucketsMax: 100, now: () => nowMs });
        const taken: { atMs: number; cost: number }[] = [];
        for (const { passedMs, cost, isBatch } of steps) {
          nowMs += passedMs;
          const share = isBatch ? 0.5 : 1;
          if (store.take([{ bucket: 'a', rate: of, cost }], share).waitMs === 0)
            taken.push({ atMs: nowMs, cost: chargeOf(cost, of, share) });
        }
        for (const [first, from] of taken.entries()) {
          let sum = 0;
          for (const to of taken.slice(first)) {
            sum += to.cost;
            expect(sum).toBeLessThanOrEqual(of.capacity * (1 + (to.atMs - from.atMs) / of.drainMs + 1e-6));
          }
        }
      }),
    );
  });

  it('admits whoever waited for as long as it was told, and not much sooner', () => {
    fc.assert(
      fc.property(rate, fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 1500 }), (of, steps, cost) => {
        let level = { used: 0, atMs: 0 };
        for (const { passedMs, cost: earlier } of steps) {
          const atMs = level.atMs + passedMs;
          level = { used: drained(level, of, atMs) + earlier, atMs };
        }
        const waitMs = waitFor(level.used, cost, of, 1);
        expect(waitFor(drained(level, of, level.atMs + waitMs), cost, of, 1)).toBe(0);
        if (waitMs > 1) expect(waitFor(drained(level, of, level.atMs + waitMs - 1), cost, of, 1)).toBeGreaterThan(0);
      }),
    );
  });

  it('charges in the end what was used, however wrong the estimates were: the rate holds over time', () => {
    fc.assert(
      fc.property(
        rate,
        fc.array(
          fc.record({
            passedMs: fc.double({ min: 0, max: 3000, noNaN: true }),
            estimate: fc.integer({ min: 1, max: 500 }),
            used: fc.integer({ min: 0, max: 500 }),
          }),
          { maxLength: 60 },
        ),
        (of, asks) => {
          let nowMs = 0;
          const store = new MemoryLimitStore({ bucketsMax: 100, now: () => nowMs });
          let sum = 0;
          let largest = 0;
          for (const { passedMs, estimate, used } of asks) {
            nowMs += passedMs;
            if (store.take([{ bucket: 'a', rate: of, cost: estimate }], 1).waitMs > 0) continue;
            store.correct([{ bucket: 'a', rate: of, cost: used - chargeOf(estimate, of, 1) }]);
            sum += used;
            largest = Math.max(largest, used);
          }
          // The last one may be more than it was thought to be; the next waits for that.
          expect(sum).toBeLessThanOrEqual(of.capacity * (1 + nowMs / of.drainMs + 1e-6) + largest);
        },
      ),
    );
  });

  it('forgets the bucket that was used least lately, and keeps no more than it may', () => {
    const store = new MemoryLimitStore({ bucketsMax: 2, now: () => 0 });
    const claim = (bucket: string) => [{ bucket, rate: { capacity: 1, drainMs: 1000 }, cost: 1 }];
    store.take(claim('a'), 1);
    store.take(claim('b'), 1);
    store.correct([{ ...claim('a')[0]!, cost: 1 }]);
    store.take(claim('c'), 1);
    expect(store.size).toBe(2);
    expect(store.take(claim('a'), 1).waitMs).toBe(2000);
    expect(store.take(claim('b'), 1).waitMs).toBe(0);
  });
});
