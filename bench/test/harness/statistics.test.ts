import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom, estimateMedian, estimateRatio, median, quantile } from '../../src/harness/statistics.ts';

describe('quantile', () => {
  it('is linear between neighbours', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 20, 30], 0.25)).toBe(15);
    expect(quantile([10, 20, 30], 1)).toBe(30);
  });

  it('of no values is not a number', () => {
    expect(quantile([], 0.5)).toBeNaN();
  });

  it('lies between the least and the greatest value', () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (list, q) => {
        expect(quantile(list, q)).toBeGreaterThanOrEqual(Math.min(...list) - 1e-6);
        expect(quantile(list, q)).toBeLessThanOrEqual(Math.max(...list) + 1e-6);
      }),
    );
  });
});

describe('estimateMedian', () => {
  it('holds the median in its interval and is the same for the same seed', () => {
    const values = [9, 12, 10, 11, 14, 10, 13, 11, 12, 10, 11];
    const estimate = estimateMedian(values, createRandom(1));
    expect(estimate).toEqual(estimateMedian(values, createRandom(1)));
    expect(estimate.value).toBe(median(values));
    expect(estimate.low).toBeLessThanOrEqual(estimate.value);
    expect(estimate.high).toBeGreaterThanOrEqual(estimate.value);
  });

  it('holds the true median in about 95 of 100 samples', () => {
    const random = createRandom(7);
    const uniform = () => Array.from({ length: 21 }, random);
    const covered = Array.from({ length: 60 }, () => estimateMedian(uniform(), random)).filter(({ low, high }) => low <= 0.5 && 0.5 <= high);
    expect(covered.length / 60).toBeGreaterThan(0.85);
  });
});

describe('estimateRatio', () => {
  it('does not see what slows down both of a round', () => {
    const slowness = [1, 3, 1, 2, 10, 1, 4];
    const theirs = slowness.map((factor) => 100 / factor);
    const { value, low, high } = estimateRatio(theirs.map((rate) => rate * 1.2), theirs, createRandom(1));
    for (const bound of [value, low, high]) expect(bound).toBeCloseTo(1.2);
  });

  it('refuses what is not in pairs', () => {
    expect(() => estimateRatio([1, 2], [1], createRandom(1))).toThrow('not pairs');
  });
});
