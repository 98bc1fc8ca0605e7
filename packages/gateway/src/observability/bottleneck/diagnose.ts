import type { Bottleneck, BottleneckCause } from '@open-autoglm/protocol';
import type { SegmentReading } from './baselines.ts';

/** A request is slow when a segment takes this much longer than expected, … */
const minExcessMs = 10;
/** … and this much of what the whole request should have taken, … */
const minExcessShare = 0.25;
/** … and is further out than the segment usually strays. */
const minDeviations = 3;
/** A pause that covers this much of the excess explains it. */
const explainingShare = 0.5;
/** An engine that waits for its reader grows as much as the output does; from this share on the client is the reason. */
const outputShare = 0.8;

/** What else is known of the time of a request that was slow. All in milliseconds. */
export interface Circumstances {
  /** Pauses of the gateway's garbage collector within the request's time. */
  readonly gcMs: number;
  /** The gateway's event loop busy with something else, without those pauses. */
  readonly loopBlockedMs: number;
  /** Of `input`: waiting for the body, for the model. */
  readonly bodyMs: number;
  readonly modelMs: number;
  /** Of `cache`: waiting for the same answer, which another request makes. */
  readonly inflightMs: number;
  /** Of `output`: waiting for the client. */
  readonly clientMs: number;
}

/** The segment that grew most, where it grew so much that the request was slow. */
export function slowestSegment(readings: readonly SegmentReading[]): SegmentReading | undefined {
  const expectedMs = readings.reduce((sum, reading) => sum + reading.expectedMs, 0);
  const atLeast = Math.max(minExcessMs, minExcessShare * expectedMs);
  const grown = readings.filter((reading) => excess(reading) >= Math.max(atLeast, minDeviations * reading.deviationMs));
  const most = grown.reduce<SegmentReading | undefined>((found, reading) => (!found || excess(reading) > excess(found) ? reading : found), undefined);
  const output = grown.find(({ segment }) => segment === 'output');
  return most && output && excess(output) >= outputShare * excess(most) ? output : most;
}

/**
 * Why it grew. Pauses are looked at first, because they lengthen whatever segment they fall into; then the segment
 * itself tells.
 */
export function diagnose(reading: SegmentReading, circumstances: Circumstances): Bottleneck {
  const { segment, durationMs, expectedMs } = reading;
  const [cause, detail] = explain(reading, circumstances);
  return { segment, cause, detail, durationMs, expectedMs };
}

function explain(reading: SegmentReading, { gcMs, loopBlockedMs, ...spent }: Circumstances): readonly [BottleneckCause, string] {
  const explains = (ms: number) => ms > 0 && ms >= explainingShare * excess(reading);
  if (explains(gcMs)) return ['gc', 'gc-pause'];
  if (explains(loopBlockedMs)) return ['cpu', 'event-loop'];
  switch (reading.segment) {
    case 'prejudge':
      return ['cpu', 'rules'];
    case 'input':
      if (explains(spent.modelMs)) return ['lock', 'model-loading'];
      return explains(spent.bodyMs) ? ['io', 'slow-upload'] : ['cpu', 'template'];
    case 'cache':
      return explains(spent.inflightMs) ? ['lock', 'in-flight-answer'] : ['io', 'cache-store'];
    case 'queue':
      return ['queueing', 'batch-full'];
    case 'prefill':
    case 'decode':
      return ['cpu', 'engine'];
    case 'upstream':
      return ['io', 'slow-upstream'];
    case 'output':
      return explains(spent.clientMs) ? ['io', 'slow-client'] : ['cpu', 'encoding'];
    case 'other':
      return ['io', 'transport'];
  }
}

export function excess({ durationMs, expectedMs }: SegmentReading): number {
  return durationMs - expectedMs;
}
