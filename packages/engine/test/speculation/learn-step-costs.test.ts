import { describe, expect, it } from 'vitest';
import { estimateSteps } from '../../src/speculation/learn-step-costs.ts';
import type { StepCosts } from '../../src/speculation/step-costs.ts';

const measured = { shallow: 1, several: 2, perKey: 0.001 };
const costOf = (costs: StepCosts, columns: number) => costs.costOf({ columns, keys: 0, isPlain: columns === 1 });

describe('estimateSteps', () => {
  it('has products cost as measured by number of columns, and never more than a share of as many lone steps', () => {
    const costs = estimateSteps(measured, (columns) => (columns === 16 ? 1000 : columns / 4));
    expect([1, 4, 8, 16].map((columns) => costOf(costs, columns))).toEqual([1, 1, 2, 16 * 0.6]);
  });

  it('knows no cost where sums are unlike those of a full batch: verifying could change the answer', () => {
    const costs = estimateSteps(measured, (columns) => (columns === 12 ? Infinity : columns / 4));
    expect([8, 12, 16].map((columns) => costOf(costs, columns))).toEqual([2, Infinity, 4]);
  });

  it('knows no cost at all where that of the measured step is no positive number', () => {
    for (const products of [Infinity, NaN, 0]) expect(costOf(estimateSteps(measured, (columns) => (columns === 8 ? products : 1)), 2)).toBe(Infinity);
    expect(costOf(estimateSteps({ ...measured, several: 0 }, () => 1), 2)).toBe(Infinity);
  });
});
