/**
 * How long a replica takes to its first part, as two averages that forget with time. `peakMs` follows a rise at once and a
 * fall slowly (peak EWMA, Finagle's `p2c` balancer): a replica that becomes slow is avoided from its first slow answer on.
 * `meanMs` is the plain one, to compare replicas by.
 */
export interface Latency {
  readonly peakMs: number;
  readonly meanMs: number;
  readonly count: number;
  readonly atMs: number;
}

/** The first part of a stream is its first token, that of a whole answer its end: only like may be compared with like. */
export type AnswerForm = 'stream' | 'whole';

export function formOf({ stream }: { readonly stream: boolean }): AnswerForm {
  return stream ? 'stream' : 'whole';
}

/** After so long, two thirds of what was known are forgotten. */
const memoryMs = 10_000;
/** Share of a new sample in the mean, at least: a replica with few answers must not be judged by those of long ago. */
const shareMin = 0.1;

export const unknownLatency: Latency = { peakMs: 0, meanMs: 0, count: 0, atMs: 0 };
export const unknownLatencies: Readonly<Record<AnswerForm, Latency>> = { stream: unknownLatency, whole: unknownLatency };

export function learnLatency(latency: Latency, sampleMs: number, nowMs: number): Latency {
  if (latency.count === 0) return { peakMs: sampleMs, meanMs: sampleMs, count: 1, atMs: nowMs };
  const share = Math.max(shareMin, 1 - Math.exp(-Math.max(0, nowMs - latency.atMs) / memoryMs));
  const mix = (known: number) => known + (sampleMs - known) * share;
  const peakMs = peakAt(latency, nowMs);
  return { peakMs: sampleMs > peakMs ? sampleMs : mix(peakMs), meanMs: mix(latency.meanMs), count: latency.count + 1, atMs: nowMs };
}

/** The peak as it is held now: without news it sinks, so that a replica that was slow once is asked again some day. */
export function peakAt({ peakMs, atMs }: Latency, nowMs: number): number {
  return peakMs * Math.exp(-Math.max(0, nowMs - atMs) / memoryMs);
}
