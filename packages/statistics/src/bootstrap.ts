import { median, quantileOfSorted, toSorted } from './quantile.ts';
import type { Random } from './random.ts';

/** An estimate with the interval that holds it in 95 % of such experiments. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** A 95 % interval of a median needs no more; its end points then move by less than a percent of its width. */
const defaultResamples = 2000;

export interface ResampleOptions {
  /** Units that were drawn independently, such as rounds or blocks of a run. Figures of one unit stay together. */
  readonly unitCount: number;
  readonly random: Random;
  readonly resamples?: number;
}

/**
 * Bootstrap intervals (percentile method, Efron 1979) of several statistics of the same experiment. Each resample draws
 * `unitCount` units with replacement and tells `statistics` how often each was drawn. What is NaN in a resample, as the p99
 * of no requests, says nothing and is left out; without any other the bounds are NaN. Few units give a wide
 * interval, and fewer than six one that is too narrow to be trusted.
 */
export function resample(
  statistics: (drawn: Uint32Array) => readonly number[],
  { unitCount, random, resamples = defaultResamples }: ResampleOptions,
): Estimate[] {
  const values = statistics(new Uint32Array(unitCount).fill(1));
  const drawnValues = values.map((): number[] => []);
  const drawn = new Uint32Array(unitCount);
  for (let round = 0; round < resamples; round += 1) {
    drawn.fill(0);
    for (let unit = 0; unit < unitCount; unit += 1) (drawn[Math.floor(random() * unitCount)] as number) += 1;
    for (const [index, value] of statistics(drawn).entries()) if (!Number.isNaN(value)) drawnValues[index]?.push(value);
  }
  return values.map((value, index) => {
    const sorted = toSorted(drawnValues[index] as number[]);
    return { value, low: quantileOfSorted(sorted, 0.025), high: quantileOfSorted(sorted, 0.975) };
  });
}

/** The median with its bootstrap interval; each value is a unit. */
export function estimateMedian(values: readonly number[], random: Random): Estimate {
  const medians = Array.from({ length: defaultResamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] as number)),
  );
  const sorted = toSorted(medians);
  return { value: median(values), low: quantileOfSorted(sorted, 0.025), high: quantileOfSorted(sorted, 0.975) };
}

/**
 * How many times faster `ours` was than `theirs`, where element i of both was measured in the same round: what slows a
 * whole round down, such as another program, falls out of the ratio.
 */
export function estimateRatio(ours: readonly number[], theirs: readonly number[], random: Random): Estimate {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} and ${theirs.length} measurements are not pairs`);
  return estimateMedian(
    ours.map((value, index) => value / (theirs[index] as number)),
    random,
  );
}
