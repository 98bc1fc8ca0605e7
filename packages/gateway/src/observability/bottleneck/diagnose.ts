import type { Bottleneck, BottleneckCause, EngineDelays, Segment } from '@open-autoglm/protocol';
import type { SegmentReading } from './baselines.ts';

/** A request is slow when a segment takes this much longer than expected, … */
export const minExcessMs = 10;
/** … and this much of what the whole request should have taken, … */
const minExcessShare = 0.25;
/** … and is further out than the segment usually strays. */
const minDeviations = 3;
/** A pause that covers this much of the excess explains it. */
const explainingShare = 0.5;
/** An engine that waits for its reader grows as much as the output does; from this share on the client is the reason. */
const outputShare = 0.8;
const readByOutput: ReadonlySet<Segment> = new Set(['decode', 'upstream']);
/** Measured where the engine runs: what stops the gateway does not lengthen them. */
const engineSegments: ReadonlySet<Segment> = new Set(['queue', 'prefill', 'decode']);

/** What else is known of the time of a request that was slow. All in milliseconds. */
export interface Circumstances {
  /** Pauses of the gateway's garbage collector within the request's time. */
  readonly gcMs: number;
  /** The gateway's event loop busy with something else, without those pauses. */
  readonly loopBlockedMs: number;
  /**
   * Of `input`: waiting for the body, for the model; having documents read, images made smaller; rendering the chat template, compressing,
   * fitting into the context.
   */
  readonly bodyMs: number;
  readonly modelMs: number;
  readonly documentsMs: number;
  readonly imagesMs: number;
  readonly templateMs: number;
  readonly compressionMs: number;
  readonly fitMs: number;
  /** Of `cache`: waiting for the same answer, which another request makes. */
  readonly inflightMs: number;
  /** Of `output`: waiting for the client; writing JSON. */
  readonly clientMs: number;
  readonly encodeMs: number;
  /** Of `queue`: waiting for a place once more. */
  readonly preemptedMs: number;
  /** Of `prefill` or `decode`, whichever grew, as the engine tells it; undefined: it does not. */
  readonly engine: EngineDelays | undefined;
}

/** The segment that grew most, where it grew so much that the request was slow. */
export function slowestSegment(readings: readonly SegmentReading[]): SegmentReading | undefined {
  let expectedMs = 0;
  for (const reading of readings) expectedMs += reading.expectedMs;
  const atLeast = Math.max(minExcessMs, minExcessShare * expectedMs);
  const grown = readings.filter((reading) => excess(reading) >= Math.max(atLeast, minDeviations * reading.deviationMs));
  if (grown.length === 0) return undefined;
  const most = grown.reduce<SegmentReading | undefined>(
    (found, reading) => (!found || excess(reading) > excess(found) ? reading : found),
    undefined,
  );
  const output = grown.find(({ segment }) => segment === 'output');
  return most && output && readByOutput.has(most.segment) && excess(output) >= outputShare * excess(most) ? output : most;
}

/**
 * Why it grew. A pause of the collector lengthens whatever segment of the gateway it falls into; then comes what the segment
 * computed itself, then a loop that was busy with something else, and last what the segment waited for.
 */
export function diagnose(reading: SegmentReading, circumstances: Circumstances): Bottleneck {
  const { segment, durationMs, expectedMs } = reading;
  const [cause, detail] = explain(reading, circumstances);
  return { segment, cause, detail, durationMs, expectedMs };
}

function explain(reading: SegmentReading, { gcMs, loopBlockedMs, ...spent }: Circumstances): readonly [BottleneckCause, string] {
  const explains = (ms: number) => ms > 0 && ms >= explainingShare * excess(reading);
  if (!engineSegments.has(reading.segment)) {
    const isPaused = explains(gcMs + loopBlockedMs);
    if (isPaused && gcMs >= loopBlockedMs) return ['gc', 'gc-pause'];
    if (reading.segment === 'input') {
      if (explains(spent.templateMs)) return ['cpu', 'template'];
      if (explains(spent.compressionMs)) return ['cpu', 'compression'];
      if (explains(spent.fitMs)) return ['cpu', 'fit'];
    }
    if (reading.segment === 'output' && explains(spent.encodeMs)) return ['cpu', 'encoding'];
    if (isPaused) return ['cpu', 'event-loop'];
  }
  switch (reading.segment) {
    case 'prejudge':
      return ['cpu', 'rules'];
    case 'input':
      if (explains(spent.modelMs)) return ['lock', 'model-loading'];
      // Other calls, of engines, on this one's behalf.
      if (explains(spent.documentsMs)) return ['io', 'documents'];
      if (explains(spent.imagesMs)) return ['io', 'images'];
      return explains(spent.bodyMs) ? ['io', 'slow-upload'] : ['cpu', 'template'];
    case 'cache':
      return explains(spent.inflightMs) ? ['lock', 'in-flight-answer'] : ['io', 'cache-store'];
    case 'queue':
      return ['queueing', explains(spent.preemptedMs) ? 'preempted' : 'batch-full'];
    case 'prefill':
    case 'decode':
      return explainEngine(spent.engine, explains);
    case 'upstream':
      return ['io', 'slow-upstream'];
    case 'output':
      return explains(spent.clientMs) ? ['io', 'slow-client'] : ['cpu', 'encoding'];
    case 'other':
      return ['io', 'transport'];
  }
}

/** What should not be at all comes first; others are there as long as there is load, and are the reason where nothing else is. */
function explainEngine(delays: EngineDelays | undefined, explains: (ms: number) => boolean): readonly [BottleneckCause, string] {
  if (delays && explains(delays.gcMs)) return ['gc', 'engine-gc'];
  if (delays && explains(delays.coresMs)) return ['cpu', 'missing-cores'];
  if (delays && explains(delays.promptsMs + delays.sharingMs))
    return ['queueing', delays.promptsMs > delays.sharingMs ? 'prompts-of-others' : 'shared-steps'];
  return ['cpu', 'engine'];
}

export function excess({ durationMs, expectedMs }: SegmentReading): number {
  return durationMs - expectedMs;
}
