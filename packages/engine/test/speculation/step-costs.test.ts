import { describe, expect, it } from 'vitest';
import { LearntStepCosts, type StepSize } from '../../src/speculation/step-costs.ts';

const plain: StepSize = { columns: 1, keys: 100, isPlain: true };
const drafted = (columns: number): StepSize => ({ columns, keys: 100 * columns, isPlain: false });
/** 1 a column, a hundredth a key. */
const estimated = () => new LearntStepCosts((columns, keys) => columns + keys / 100);
const ratio = (costs: LearntStepCosts, columns: number) => costs.costOf(drafted(columns)) / costs.costOf(plain);

describe('LearntStepCosts', () => {
  it('begins with the estimate', () => {
    expect([estimated().costOf(plain), estimated().costOf(drafted(8))]).toEqual([2, 16]);
  });

  it('learns what drafts cost against plain steps, for numbers of columns that were seen and their neighbours', () => {
    const costs = estimated();
    for (let step = 0; step < 40; step += 1) {
      costs.observe(plain, 5);
      costs.observe(drafted(8), 10);
    }
    expect(ratio(costs, 8)).toBeCloseTo(2, 1);
    expect(ratio(costs, 6)).toBeCloseTo(1.5, 1);
  });

  it("tells what a step cost in the unit of its estimates, whatever the machine's speed", () => {
    const costs = estimated();
    for (let step = 0; step < 40; step += 1) costs.observe(plain, 6);
    expect(costs.observe(drafted(4), 12)).toBeCloseTo(2 * costs.costOf(plain), 5);
    expect(costs.observe(drafted(4), NaN)).toBe(undefined);
  });

  it('learns from the first steps at once that an estimate was far off', () => {
    const costs = estimated();
    costs.observe(plain, 2);
    costs.observe(drafted(2), 40);
    expect(ratio(costs, 2)).toBeCloseTo(20, 5);
  });

  it('is not misled by one interruption among the first steps', () => {
    const costs = estimated();
    for (const milliseconds of [2, 500, 2]) costs.observe(plain, milliseconds);
    for (const milliseconds of [8, 2000, 8]) {
      costs.observe(drafted(8), milliseconds);
      expect(ratio(costs, 8)).toBeCloseTo(4, 5);
    }
  });

  it('is not misled by a machine that is slower for a while', () => {
    const costs = estimated();
    for (let step = 0; step < 200; step += 1) {
      const slowness = step > 100 ? 3 : 1;
      costs.observe(plain, 2 * slowness);
      costs.observe(drafted(4), 4 * slowness);
    }
    expect(ratio(costs, 4)).toBeCloseTo(2, 1);
  });

  it('believes little of one step that was interrupted', () => {
    const costs = estimated();
    for (let step = 0; step < 40; step += 1) for (const size of [plain, drafted(8)]) costs.observe(size, costs.costOf(size));
    const before = ratio(costs, 8);
    costs.observe(drafted(8), 1e6);
    expect(ratio(costs, 8) / before).toBeLessThan(1.2);
  });

  it('forgets while there are no drafts, so that they are tried again', () => {
    const costs = estimated();
    for (let step = 0; step < 40; step += 1) for (const size of [plain, drafted(8)]) costs.observe(size, size.isPlain ? 2 : 64);
    expect(ratio(costs, 8)).toBeGreaterThan(24);
    for (let step = 0; step < 10_000; step += 1) costs.observe(plain, 2);
    expect(ratio(costs, 8)).toBeCloseTo(8, 1);
  });

  it('takes no harm from times and sizes that say nothing', () => {
    const costs = new LearntStepCosts((columns) => (columns === 2 ? Infinity : columns));
    for (const milliseconds of [0, NaN, Infinity, -1]) costs.observe(plain, milliseconds);
    costs.observe(drafted(2), 1);
    expect(costs.costOf(drafted(8))).toBe(8);
  });
});
