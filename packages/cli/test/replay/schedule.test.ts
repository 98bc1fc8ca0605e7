import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTrace } from '../../src/replay/trace/open-trace.ts';
import { planReplay, type PlanOptions } from '../../src/replay/trace/plan.ts';
import { scheduleForOne, scheduleForTwo } from '../../src/replay/trace/schedule.ts';
import { createTraceClock } from '../../src/replay/trace/trace-clock.ts';
import { azureTrace, withFile } from './trace-file.ts';

async function planOf(seconds: readonly number[], options: PlanOptions) {
  await using file = await withFile(azureTrace(seconds));
  const trace = await openTrace(file.path, 'azure');
  const plan = await planReplay(trace, options);
  return {
    plan,
    one: await Array.fromAsync(scheduleForOne(trace, plan)),
    two: await Array.fromAsync(scheduleForTwo(trace, { ...plan, blockMs: 1000 })),
  };
}

const speed = (factor: number) => ({ kind: 'speed', factor }) as const;
const mean = (perSecond: number) => ({ kind: 'mean', perSecond }) as const;
const times = fc
  .array(fc.nat(30_000), { minLength: 1, maxLength: 40 })
  .map((values) => values.toSorted((a, b) => a - b).map((ms) => ms / 1000));
const rates = fc.oneof(fc.double({ min: 0.1, max: 20, noNaN: true }).map(speed), fc.double({ min: 0.5, max: 100, noNaN: true }).map(mean));
const sinceFirst = (seconds: readonly number[]) => seconds.map((value) => (value - (seconds[0] as number)) * 1000);

describe('a schedule', () => {
  it('has all requests in order, at the trace’s times divided by the speed', async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.double({ min: 0.1, max: 20, noNaN: true }), async (seconds, factor) => {
        const { one, plan } = await planOf(seconds, { rate: speed(factor) });
        expect(one.map(({ index }) => index)).toEqual(seconds.map((_, index) => index));
        for (const [index, atMs] of sinceFirst(seconds).entries()) expect(one[index]?.dueInBlockMs).toBeCloseTo(atMs / factor, 6);
        expect(plan.lengthMs).toBe(one.at(-1)?.dueInBlockMs);
      }),
      { numRuns: 50 },
    );
  });

  it('has the mean rate that was asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        times.filter((seconds) => new Set(seconds).size > 1),
        fc.double({ min: 0.5, max: 100, noNaN: true }),
        async (seconds, perSecond) => {
          const { one, plan } = await planOf(seconds, { rate: mean(perSecond) });
          const lastMs = one.at(-1)?.dueInBlockMs as number;
          expect(((seconds.length - 1) * 1000) / lastMs).toBeCloseTo(perSecond, 6);
          expect(plan.meanRatePerSecond).toBeCloseTo(perSecond, 6);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is a beginning of the trace within the duration and the limit', async () => {
    await fc.assert(
      fc.asyncProperty(
        times,
        rates,
        fc.integer({ min: 100, max: 20_000 }),
        fc.integer({ min: 1, max: 50 }),
        async (seconds, rate, durationMs, limit) => {
          fc.pre(rate.kind === 'speed' || new Set(seconds.slice(0, limit)).size > 1);
          const planned = await planOf(seconds, { rate, durationMs, limit }).catch((error: Error) => error.message);
          // So few requests that the duration leaves only those of one moment.
          if (typeof planned === 'string') {
            expect(planned).toMatch(/at the same moment/);
            return;
          }
          const { one, plan } = planned;
          expect(one.length).toBe(plan.requestCount);
          expect(one.length).toBeLessThanOrEqual(limit);
          if (rate.kind === 'mean') {
            expect(one.length).toBe(Math.min(limit, seconds.length, Math.max(1, Math.floor((rate.perSecond * durationMs) / 1000))));
            return;
          }
          expect(plan.lengthMs).toBeLessThanOrEqual(durationMs + 1e-6);
          const next = sinceFirst(seconds)[one.length];
          if (one.length < limit && next !== undefined) expect(next / rate.factor).toBeGreaterThan(durationMs - 1e-6);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('for two targets gives each the same slices, in turn A B, B A', async () => {
    await fc.assert(
      fc.asyncProperty(times, async (seconds) => {
        const { one, two } = await planOf(seconds, { rate: speed(1) });
        for (const target of [0, 1]) {
          const mine = two.filter((request) => request.target === target).toSorted((a, b) => a.index - b.index);
          expect(mine.map(({ index }) => index)).toEqual(one.map(({ index }) => index));
          for (const [index, { dueInBlockMs }] of mine.entries())
            expect(dueInBlockMs).toBeCloseTo((one[index]?.dueInBlockMs as number) % 1000, 6);
        }
        const blocks = Map.groupBy(two, ({ block }) => block);
        expect([...blocks.keys()]).toEqual([...blocks.keys()].map((_, index) => index));
        const order = [...blocks.values()].map((members) => members[0]?.target);
        expect(order).toEqual(order.map((_, index) => [0, 1, 1, 0][index % 4]));
        for (const members of blocks.values()) {
          expect(new Set(members.map(({ target }) => target)).size).toBe(1);
          expect(members.map(({ dueInBlockMs }) => dueInBlockMs)).toEqual(
            members.map(({ dueInBlockMs }) => dueInBlockMs).toSorted((a, b) => a - b),
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  it('that would take years says so, and so does one of too many requests', async () => {
    await expect(planOf([0, 1e9], { rate: speed(1) })).rejects.toThrow(/would take 11,574 days: take a part of it/);
    expect((await planOf([0, 1e9], { rate: speed(1), durationMs: 1000 })).one).toHaveLength(1);
  });
});

describe("a trace's clock", () => {
  it('never goes back, and keeps what differences are left', () => {
    const clock = createTraceClock();
    const seen = [1000, 1500, 1400, 1600, 100, 150, 90_000].map((atMs) => clock.advance(atMs));
    expect(seen.map(({ atMs }) => atMs)).toEqual([0, 500, 500, 600, 600, 650, 90_500]);
    expect(seen.map(({ wentBack }) => wentBack)).toEqual([false, false, true, false, true, false, false]);
  });

  it('is in order whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1e12, max: 1e12 })), (values) => {
        const clock = createTraceClock();
        const seen = values.map((value) => clock.advance(value).atMs);
        expect(seen).toEqual(seen.toSorted((a, b) => a - b));
        expect(seen[0] ?? 0).toBe(0);
      }),
    );
  });

  it('is told of in the plan', async () => {
    const { plan } = await planOf([0, 5, 4.9, 6], { rate: speed(1) });
    expect(plan.facts).toMatchObject({ clockBackwardsCount: 1, clockBackwardsLines: [3], spanMs: 6000 });
  });
});
