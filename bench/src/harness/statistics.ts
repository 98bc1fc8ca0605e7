/** Uniform on [0, 1). */
export type Random = () => number;

/** An estimate with the interval that holds it in 95 % of such experiments. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** A 95 % interval of a median needs no more; its end points then move by less than a percent of its width. */
const resamples = 2000;

/** The value below which a share `q` of the values lies, linear between neighbours. NaN for no values. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return below + (above - below) * (place - Math.floor(place));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * The median with its bootstrap interval (percentile method, Efron 1979). Few values give a wide interval, and fewer than
 * six one that is too narrow to be trusted.
 */
export function estimateMedian(values: readonly number[], random: Random): Estimate {
  const medians = Array.from({ length: resamples }, () => median(values.map(() => values[Math.floor(random() * values.length)] as number)));
  return { value: median(values), low: quantile(medians, 0.025), high: quantile(medians, 0.975) };
}

/**
 * How many times faster `ours` was than `theirs`, where element i of both was measured in the same round: what slows a
 * whole round down, such as another program, falls out of the ratio.
 */
export function estimateRatio(ours: readonly number[], theirs: readonly number[], random: Random): Estimate {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} and ${theirs.length} measurements are not pairs`);
  return estimateMedian(ours.map((value, index) => value / (theirs[index] as number)), random);
}

/** A small generator, so that the same measurements give the same interval (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
