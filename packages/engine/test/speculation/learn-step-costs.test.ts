import { describe, expect, it } from 'vitest';
import { estimateSteps } from '../../src/speculation/learn-step-costs.ts';
import type { StepCosts } from '../../src/speculation/step-costs.ts';

const measured = { shallow: 1, several: 2, perKey: 0.001 };
const costOf = (costs: StepCosts, columns: number) => costs.costOf({ columns, keys: 0, isPlain: columns === 1 });

describe('estimateSteps', () => {
  it('has products cost as measured by number of columns, and never more than a share of as many lone steps', () => {
    const costs = estimateSteps(measured, (columns) => (columns === 16 ? 1000 : columns / 4));
    expect([1, 4, 8, 16].map((columns) => costOf(costs, columns))).toEqual([1, 1, 2, 4]);
    expect(
      [8, 16].map((columns) =>
        costOf(
          estimateSteps({ ...measured, several: 6 }, () => 1),
          columns,
        ),
      ),
    ).toEqual([8 * 0.6, 6]);
  });

  it('lets the measured step bound others, whatever products seemed to cost: fewer tokens cost no more, more tokens no more each', () => {
    const costs = estimateSteps({ ...measured, shallow: 2 }, (columns) => (columns === 8 ? 1 : 50));
    expect([2, 4, 8, 16, 32].map((columns) => costOf(costs, columns))).toEqual([2, 2, 2, 4, 8]);
  });

  it('takes the products of a decode for what decodes, and of a draft for what is verified', () => {
    const costs = estimateSteps(measured, (columns, isPlain) => (isPlain || columns === 8 ? 1 : Infinity));
    expect([costs.costOf({ columns: 4, keys: 0, isPlain: true }), costs.costOf({ columns: 4, keys: 0, isPlain: false })]).toEqual([
      2,
      Infinity,
    ]);
  });

  it('knows no cost where sums are unlike those of a full batch: verifying could change the answer', () => {
    const costs = estimateSteps(measured, (columns) => (columns === 12 ? Infinity : columns / 4));
    expect([8, 12, 16].map((columns) => costOf(costs, columns))).toEqual([2, Infinity, 4]);
  });

  it('knows no cost at all where that of the measured step is no positive number', () => {
    for (const products of [Infinity, NaN, 0])
      expect(
        costOf(
          estimateSteps(measured, (columns) => (columns === 8 ? products : 1)),
          2,
        ),
      ).toBe(Infinity);
    expect(
      costOf(
        estimateSteps({ ...measured, several: 0 }, () => 1),
        2,
      ),
    ).toBe(Infinity);
  });
});
