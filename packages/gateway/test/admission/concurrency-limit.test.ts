import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConcurrencyLimit, nextLimit, type ConcurrencySettings } from '../../src/admission/concurrency-limit.ts';

const settings: ConcurrencySettings = { initial: 16, min: 2, max: 500, tolerance: 1.5, toleranceMs: 0 };

/** A server that begins `capacity` answers at once in `baseMs` and lets all others wait; it always has as much to do as it may be sent. */
function serve(
  limit: ConcurrencyLimit,
  {
    capacity,
    baseMs,
    answers,
    noise,
  }: { readonly capacity: number; readonly baseMs: number; readonly answers: number; readonly noise: (index: number) => number },
): number[] {
  const limits: number[] = [];
  for (let index = 0; index < answers; index += 1) {
    const runningCount = limit.value;
    limit.add({ form: 'stream', milliseconds: baseMs * Math.max(1, runningCount / capacity) * noise(index), runningCount });
    limits.push(limit.value);
  }
  return limits;
}

const noises = fc
  .array(fc.double({ min: 0.85, max: 1.2, noNaN: true }), { minLength: 50, maxLength: 50 })
  .map((list) => (index: number) => list[index % list.length] as number);

describe('ConcurrencyLimit', () => {
  it('settles near what the server does at once, from below and from above, and does not grow out of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 150 }),
        fc.integer({ min: 2, max: 400 }),
        fc.double({ min: 1, max: 2000, noNaN: true }),
        noises,
        (capacity, initial, baseMs, noise) => {
          const limits = serve(new ConcurrencyLimit({ ...settings, initial }), { capacity, baseMs, answers: 20_000, noise });
          const late = limits.slice(10_000);
          const mean = late.reduce((sum, value) => sum + value, 0) / late.length;
          expect(mean).toBeGreaterThan(capacity * 0.75);
          expect(Math.max(...late)).toBeLessThan(capacity * 2.5 + 10);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('never leaves its bounds, whatever it is told', () => {
    const part = fc.record({
      form: fc.constantFrom('stream' as const, 'whole' as const),
      milliseconds: fc.double({ min: 0, max: 1e7, noNaN: true }),
      runningCount: fc.nat(2000),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(part, fc.boolean()), { maxLength: 2000 }), (parts) => {
        const limit = new ConcurrencyLimit({ ...settings, max: 40 });
        for (const [one, isRefused] of parts) {
          if (isRefused) limit.onRefusal();
          limit.add(one);
          expect(limit.value).toBeGreaterThanOrEqual(settings.min);
          expect(limit.value).toBeLessThanOrEqual(40);
          expect(Number.isInteger(limit.value)).toBe(true);
        }
      }),
    );
  });

  it('follows a server that gets slower, and one that recovers', () => {
    const limit = new ConcurrencyLimit(settings);
    const mean = (values: readonly number[]) => values.slice(-1000).reduce((sum, value) => sum + value, 0) / 1000;
    const even = () => 1;
    const before = mean(serve(limit, { capacity: 64, baseMs: 50, answers: 8000, noise: even }));
    const slow = mean(serve(limit, { capacity: 16, baseMs: 50, answers: 8000, noise: even }));
    const after = mean(serve(limit, { capacity: 64, baseMs: 50, answers: 8000, noise: even }));
    expect(slow).toBeLessThan(before / 2);
    expect(after).toBeGreaterThan(before * 0.8);
  });

  it('does not move while little is asked', () => {
    expect(nextLimit({ limit: 20, excess: 0.5, runningMost: 9 })).toBe(20);
    expect(nextLimit({ limit: 20, excess: 0.5, runningMost: 10 })).toBeGreaterThan(20);
  });

  it('leaves a server room whose first parts differ by milliseconds only', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.3, max: 20, noNaN: true }), { minLength: 500, maxLength: 500 }), (times) => {
        const limit = new ConcurrencyLimit({ ...settings, initial: 64, toleranceMs: 25 });
        for (const milliseconds of times) limit.add({ form: 'stream', milliseconds, runningCount: 64 });
        expect(limit.value).toBeGreaterThanOrEqual(32);
      }),
      { numRuns: 30 },
    );
    // A slow one is held as before.
    const slow = serve(new ConcurrencyLimit({ ...settings, toleranceMs: 25 }), {
      capacity: 16,
      baseMs: 200,
      answers: 4000,
      noise: () => 1,
    });
    expect(Math.max(...slow.slice(2000))).toBeLessThan(16 * 2.5 + 10);
  });

  it('takes a refusal of the server for what it is', () => {
    const limit = new ConcurrencyLimit({ ...settings, initial: 100 });
    limit.onRefusal();
    expect(limit.value).toBe(90);
  });
});
