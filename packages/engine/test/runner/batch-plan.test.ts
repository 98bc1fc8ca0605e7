import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planColumns, type ProductCosts } from '../../src/runner/batch-plan.ts';

const points = (entries: Record<number, number>): ReadonlyMap<number, number> =>
  new Map(Object.entries(entries).map(([key, value]) => [Number(key), value]));
const none = new Map<number, number>();
const planOf = (costs: Omit<ProductCosts, 'unlike'>, paddedMax: number) => planColumns({ unlike: none, ...costs }, paddedMax);

describe('planColumns', () => {
  it('takes the cheapest way, also between what was measured', () => {
    const { wayOf } = planOf(
      { together: points({ 1: 1, 2: 4, 16: 6, 64: 20 }), staged: points({ 2: 3, 16: 5, 64: 21 }), apart: points({ 2: 2, 4: 4 }) },
      16,
    );
    expect([1, 2, 3, 4, 9, 16, 64].map(wayOf)).toEqual(['together', 'apart', 'apart', 'staged', 'staged', 'staged', 'together']);
  });

  it('goes on beyond the largest measured, until reading no longer matters', () => {
    const { wayOf } = planOf({ together: points({ 1: 1, 64: 20 }), staged: points({ 2: 3, 64: 15 }), apart: none }, 16);
    expect([65, 256, 257].map(wayOf)).toEqual(['staged', 'staged', 'together']);
  });

  it('pads to a full tile where that is clearly cheaper, and never beyond the batch', () => {
    const together = points({ 1: 1, 2: 2, 3: 3, 4: 1.5, 5: 2.5, 6: 3, 7: 4, 8: 2.9 });
    expect([1, 2, 3, 4, 5, 6, 7, 8].map(planOf({ together, staged: none, apart: none }, 8).padded)).toEqual([1, 4, 4, 4, 5, 6, 8, 8]);
    expect(planOf({ together, staged: none, apart: none }, 7).padded(7)).toBe(7);
  });

  it('lets every processor compute, even one whose sums are alike in no way but one', () => {
    const { wayOf, padded } = planOf({ together: points({ 1: 1 }), staged: none, apart: none }, 16);
    expect([wayOf(7), padded(7)]).toEqual(['together', 7]);
    const { padded: asWanted } = planOf({ together: none, staged: none, apart: none }, 16);
    expect(asWanted(3)).toBe(3);
  });

  it('pads a lone column where its sums differ from those of several, within the batch', () => {
    const costs = { together: points({ 2: 2, 4: 3 }), staged: none, apart: none, unlike: points({ 1: 1.7 }) };
    expect([1, 2, 3].map(planColumns(costs, 4).padded)).toEqual([2, 2, 3]);
    expect(planColumns(costs, 4).wayOf(1)).toBe('together');
  });

  it('leaves a small batch its own sums where those of a full one would cost much more, and knows no cost of it', () => {
    const costs = { together: points({ 8: 32, 16: 33 }), staged: none, apart: none, unlike: points({ 1: 8, 2: 9, 3: 12, 4: 17, 7: 34 }) };
    const { padded, costOf } = planColumns(costs, 16);
    expect([1, 2, 4, 7].map(padded)).toEqual([1, 2, 4, 8]);
    expect([costOf(1, true), costOf(8, true)]).toEqual([Infinity, 32]);
  });

  it('takes no number of columns for alike because its neighbours are', () => {
    const costs = {
      together: points({ 4: 5.7, 8: 8.7, 12: 11.8, 16: 12.3, 64: 40 }),
      staged: none,
      apart: none,
      unlike: points({ 1: 1.2, 2: 2.4, 3: 3.6, 5: 6.9, 6: 8, 7: 9.3 }),
    };
    const { padded, costOf } = planColumns(costs, 32);
    expect([1, 2, 3, 4, 5, 7, 10].map(padded)).toEqual([1, 2, 3, 4, 5, 8, 10]);
    expect([costOf(5, false), costOf(10, false)]).toEqual([Infinity, 10.25]);
    const beyond = planColumns({ together: points({ 1: 1, 16: 12 }), staged: none, apart: none, unlike: points({ 17: 13, 64: 40 }) }, 16);
    expect([beyond.costOf(17, false), beyond.costOf(128, false)]).toEqual([Infinity, 96]);
  });

  it('knows no cost of columns that only padding gives the sums of a full batch, where nothing is padded', () => {
    const { padded, costOf } = planColumns(
      { together: points({ 2: 3, 16: 5 }), staged: none, apart: none, unlike: points({ 1: 0.5 }) },
      16,
    );
    expect([padded(1), costOf(1, true), costOf(1, false), costOf(2, false)]).toEqual([2, 3, Infinity, 3]);
  });

  it('is never worse than the plain way by what was measured, and padding what is padded changes nothing', () => {
    const cost = fc.double({ min: 0.01, max: 100, noNaN: true });
    const measured = fc.record({
      together: fc.array(cost, { minLength: 16, maxLength: 16 }),
      staged: fc.array(cost, { maxLength: 16 }),
      apart: fc.array(cost, { maxLength: 16 }),
    });
    fc.assert(
      fc.property(measured, fc.integer({ min: 1, max: 20 }), (lists, paddedMax) => {
        const costs = Object.fromEntries(
          Object.entries(lists).map(([way, list]) => [way, new Map(list.map((value, index) => [index + 1, value]))]),
        ) as unknown as ProductCosts;
        const { wayOf, padded } = planOf(costs, paddedMax);
        for (let columns = 2; columns <= 16; columns += 1) {
          const chosen = padded(columns);
          expect(chosen).toBeGreaterThanOrEqual(columns);
          if (columns <= paddedMax) expect(chosen).toBeLessThanOrEqual(paddedMax);
          expect(costs[wayOf(chosen)].get(chosen)).toBeLessThanOrEqual(costs.together.get(columns) as number);
          expect(padded(chosen)).toBe(chosen);
        }
      }),
    );
  });
});
