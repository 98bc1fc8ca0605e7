/**
 * How long a replica takes to its first part, as two averages that forget. `peakMs` follows a rise at once and a fall with
 * time (peak EWMA, Finagle's `p2c` balancer): a replica that becomes slow is avoided from its first slow answer on. `typicalMs`
 * is the geometric mean of the last ones, to compare replicas by: one question in fifty that takes a hundred times as long, as prompts and
 * whole answers do, would move a plain mean by more than what makes a replica slow.
 */
export interface Latency {
  readonly peakMs: number;
  readonly typicalMs: number;
  readonly count: number;
  readonly atMs: number;
}

/** The first part of a stream is its first token, that of a whole answer its end: only like may be compared with like. */
export type AnswerForm = 'stream' | 'whole';

export function formOf({ stream }: { readonly stream: boolean }): AnswerForm {
  return stream ? 'stream' : 'whole';
}

/** After so long, two thirds of a peak are forgotten. */
const memoryMs = 10_000;
/** Share of a new sample, at least. */
const shareMin = 0.1;

export const unknownLatency: Latency = { peakMs: 0, typicalMs: 0, count: 0, atMs: 0 };
export const unknownLatencies: Readonly<Record<AnswerForm, Latency>> = { stream: unknownLatency, whole: unknownLatency };

export function learnLatency(latency: Latency, sampleMs: number, nowMs: number): Latency {
  const count = latency.count + 1;
  if (count === 1) return { peakMs: sampleMs, typicalMs: sampleMs, count, atMs: nowMs };
  const peakMs = peakAt(latency, nowMs);
  const peakShare = Math.max(shareMin, 1 - Math.exp(-Math.max(0, nowMs - latency.atMs) / memoryMs));
  const typical = mix(Math.log1p(latency.typicalMs), Math.log1p(sampleMs), Math.max(shareMin, 1 / count));
  return { peakMs: sampleMs > peakMs ? sampleMs : mix(peakMs, sampleMs, peakShare), typicalMs: Math.expm1(typical), count, atMs: nowMs };
}

function mix(known: number, sample: number, share: number): number {
  return known + (sample - known) * share;
}

/** The peak as it is held now: without news it sinks, so that a replica that was slow once is asked again some day. */
export function peakAt({ peakMs, atMs }: Latency, nowMs: number): number {
  return peakMs * Math.exp(-Math.max(0, nowMs - atMs) / memoryMs);
}
