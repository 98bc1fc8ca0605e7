import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom, estimateMedian, estimateRatio, median, quantile, quantileOfWeighted, resample, toSorted } from '../src/index.ts';

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
    const covered = Array.from({ length: 60 }, () => estimateMedian(uniform(), random)).filter(
      ({ low, high }) => low <= 0.5 && 0.5 <= high,
    );
    expect(covered.length / 60).toBeGreaterThan(0.85);
  });
});

describe('quantileOfWeighted', () => {
  it('is the quantile of the values, each as often as its weight says', () => {
    const entries = fc.array(fc.record({ value: fc.integer({ min: -100, max: 100 }), weight: fc.nat(5) }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(entries, fc.double({ min: 0, max: 1, noNaN: true }), (list, q) => {
        const sorted = list.toSorted((a, b) => a.value - b.value);
        const repeated = sorted.flatMap(({ value, weight }) => Array.from({ length: weight }, () => value));
        const weighted = quantileOfWeighted(
          sorted.map(({ value }) => value),
          sorted.map(({ weight }) => weight),
          q,
        );
        if (repeated.length === 0) expect(weighted).toBeNaN();
        else expect(weighted).toBeCloseTo(quantile(repeated, q), 9);
      }),
    );
  });
});

describe('resample', () => {
  /** The ratio of two p90s over blocks of requests that share a delay, as a comparison of servers draws them. */
  function coverageOf(blockCount: number, experiments: number): number {
    const random = createRandom(11);
    const trueRatio = 1.2;
    let covered = 0;
    for (let experiment = 0; experiment < experiments; experiment += 1) {
      const blocks = Array.from({ length: blockCount }, () => {
        const shared = 1 + random();
        const side = (factor: number) => Array.from({ length: 20 }, () => factor * shared * (0.9 + 0.2 * random()));
        return { a: side(1), b: side(trueRatio) };
      });
      const quantileOver = (drawn: Uint32Array, key: 'a' | 'b') =>
        quantile(
          blocks.flatMap((block, index) => Array.from({ length: drawn[index] as number }, () => block[key]).flat()),
          0.9,
        );
      const [ratio] = resample((drawn) => [quantileOver(drawn, 'b') / quantileOver(drawn, 'a')], {
        unitCount: blockCount,
        random,
        resamples: 120,
      });
      if (ratio && ratio.low <= trueRatio && trueRatio <= ratio.high) covered += 1;
    }
    return covered / experiments;
  }

  it('holds the true ratio in about 95 of 100 experiments', () => {
    expect(coverageOf(16, 80)).toBeGreaterThan(0.87);
  });

  it('draws whole units: what they share does not make the interval narrow', () => {
    const values = Array.from({ length: 10 }, (_, unit) => Array.from({ length: 50 }, () => unit));
    const [mean] = resample(
      (drawn) => [values.reduce((sum, block, index) => sum + (drawn[index] as number) * (block[0] as number), 0) / 10],
      { unitCount: 10, random: createRandom(2) },
    );
    expect((mean as { high: number }).high - (mean as { low: number }).low).toBeGreaterThan(2.5);
  });

  it('leaves out what is no number, and has no bounds where nothing is', () => {
    const [some, none] = resample((drawn) => [drawn[0] === 0 ? NaN : 5, NaN], { unitCount: 2, random: createRandom(3) });
    expect(some).toEqual({ value: 5, low: 5, high: 5 });
    expect(none).toEqual({ value: NaN, low: NaN, high: NaN });
  });

  it('draws as many units as there are', () => {
    resample(
      (drawn) => {
        expect(drawn.reduce((sum, count) => sum + count, 0)).toBe(7);
        return [];
      },
      { unitCount: 7, random: createRandom(4), resamples: 50 },
    );
    expect([...toSorted([3, 1, 2])]).toEqual([1, 2, 3]);
  });
});

describe('estimateRatio', () => {
  it('does not see what slows down both of a round', () => {
    const slowness = [1, 3, 1, 2, 10, 1, 4];
    const theirs = slowness.map((factor) => 100 / factor);
    const { value, low, high } = estimateRatio(
      theirs.map((rate) => rate * 1.2),
      theirs,
      createRandom(1),
    );
    for (const bound of [value, low, high]) expect(bound).toBeCloseTo(1.2);
  });

  it('refuses what is not in pairs', () => {
    expect(() => estimateRatio([1, 2], [1], createRandom(1))).toThrow('not pairs');
  });
});
