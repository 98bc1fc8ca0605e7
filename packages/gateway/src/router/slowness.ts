import type { Latency } from './latency.ts';

/** Fewer answers than this say nothing. */
export const answersMin = 10;
/** Differences below this are nobody's affair, whatever their ratio. */
const differenceMsMin = 5;

/**
 * Whether a replica is so much slower than its fellows that it is better left alone: what it typically takes against the median of theirs.
 * `factor` 0 never finds one.
 */
export function isSlow(latency: Latency, fellows: readonly Latency[], factor: number): boolean {
  return latency.count >= answersMin && isSlowSample(latency.typicalMs, fellows, factor);
}

/** The same of a single answer: of a replica that is being tried again. */
export function isSlowSample(sampleMs: number, fellows: readonly Latency[], factor: number): boolean {
  if (factor === 0) return false;
  const known = fellows
    .filter(({ count }) => count >= answersMin)
    .map(({ typicalMs }) => typicalMs)
    .sort((a, b) => a - b);
  const median = known[Math.floor((known.length - 1) / 2)];
  return median !== undefined && sampleMs > median * factor && sampleMs - median > differenceMsMin;
}
