import type { Bottleneck, Segment } from '@open-autoglm/protocol';
import type { RequestProfile } from '../profile/request-profile.ts';
import type { SegmentTimes } from '../profile/segment-times.ts';
import { StreamingMedian } from './streaming-median.ts';

/** A segment's duration beside what it usually takes. */
export interface SegmentReading {
  readonly segment: Bottleneck['segment'];
  readonly durationMs: number;
  readonly expectedMs: number;
  /** How far it strays without anything being the matter. */
  readonly deviationMs: number;
}

/** Nothing is being computed for the request here: a server at ease spends no time on it. */
const waits = ['prejudge', 'input', 'cache', 'queue', 'output', 'other'] as const satisfies readonly Segment[];
/** Of the expected work, what each kind of waiting may take for granted. Else a server that is always overloaded would find that normal. */
const waitShare = 0.1;
/** Requests after which a baseline of work is believed. */
const learnedAfter = 8;

/** What an engine did for a request. */
export interface Work {
  readonly segment: 'prefill' | 'decode' | 'upstream';
  readonly durationMs: number;
  /** The baseline is of one unit: long prompts and long answers take longer without being slow. */
  readonly units: number;
  readonly baseline: keyof WorkBaselines;
}

interface WorkBaselines {
  readonly prefillPerToken: StreamingMedian;
  readonly decodePerToken: StreamingMedian;
  readonly upstreamFirst: StreamingMedian;
  readonly upstreamPerToken: StreamingMedian;
}

/** What the segments of one model's requests usually take. */
export class Baselines {
  readonly #work: WorkBaselines = {
    prefillPerToken: new StreamingMedian(),
    decodePerToken: new StreamingMedian(),
    upstreamFirst: new StreamingMedian(),
    upstreamPerToken: new StreamingMedian(),
  };
  readonly #waits: Readonly<Record<(typeof waits)[number], StreamingMedian>> = {
    prejudge: new StreamingMedian(),
    input: new StreamingMedian(),
    cache: new StreamingMedian(),
    queue: new StreamingMedian(),
    output: new StreamingMedian(),
    other: new StreamingMedian(),
  };

  /** Whether enough was seen to tell what is usual: a server's first answers run code that is not compiled yet. */
  get isKnown(): boolean {
    return this.#waits.other.count >= learnedAfter;
  }

  /** By segment, each at most once. */
  read(work: readonly Work[], times: SegmentTimes): SegmentReading[] {
    const readings = joinUpstream(work.map((each) => this.#readWork(each)));
    const granted = waitShare * readings.reduce((sum, { expectedMs }) => sum + expectedMs, 0);
    for (const segment of waits) {
      const durationMs = times[segment];
      if (durationMs === undefined) continue;
      const { value, deviation } = this.#waits[segment];
      const expectedMs = Math.min(value, granted);
      readings.push({ segment, durationMs, expectedMs, deviationMs: Math.min(deviation, expectedMs) });
    }
    return readings;
  }

  learn(work: readonly Work[], { prejudge = 0, input = 0, cache = 0, queue = 0, output = 0, other = 0 }: SegmentTimes): void {
    for (const { baseline, durationMs, units } of work) this.#work[baseline].add(durationMs / units);
    const waited = this.#waits;
    waited.prejudge.add(prejudge);
    waited.input.add(input);
    waited.cache.add(cache);
    waited.queue.add(queue);
    waited.output.add(output);
    waited.other.add(other);
  }

  /** As long as nothing is known, what was seen is what is expected. */
  #readWork({ segment, durationMs, units, baseline }: Work): SegmentReading {
    const { count, value, deviation } = this.#work[baseline];
    if (count < learnedAfter) return { segment, durationMs, expectedMs: durationMs, deviationMs: 0 };
    return { segment, durationMs, expectedMs: value * units, deviationMs: deviation * units };
  }
}

export function workOf({ slowestChoice, completionTokens, firstTokenAtMs, start }: RequestProfile, times: SegmentTimes): Work[] {
  const { prefill, decode, upstream } = times;
  const work: Work[] = [];
  if (prefill !== undefined && slowestChoice) {
    const units = Math.max(1, slowestChoice.promptTokens - slowestChoice.cachedTokens);
    work.push({ segment: 'prefill', durationMs: prefill, units, baseline: 'prefillPerToken' });
  }
  if (decode !== undefined && slowestChoice) {
    work.push({
      segment: 'decode',
      durationMs: decode,
      units: Math.max(1, slowestChoice.completionTokens - 1),
      baseline: 'decodePerToken',
    });
  }
  if (upstream !== undefined) {
    const firstMs = Math.min(upstream, (firstTokenAtMs ?? Infinity) - start.startedAtMs);
    work.push({ segment: 'upstream', durationMs: firstMs, units: 1, baseline: 'upstreamFirst' });
    work.push({
      segment: 'upstream',
      durationMs: upstream - firstMs,
      units: Math.max(1, completionTokens - 1),
      baseline: 'upstreamPerToken',
    });
  }
  return work;
}

/** The two halves of `upstream` are one segment. */
function joinUpstream(readings: readonly SegmentReading[]): SegmentReading[] {
  const joined: SegmentReading[] = [];
  for (const reading of readings) {
    const before = joined.at(-1);
    if (before?.segment !== reading.segment) joined.push(reading);
    else
      joined[joined.length - 1] = {
        segment: reading.segment,
        durationMs: before.durationMs + reading.durationMs,
        expectedMs: before.expectedMs + reading.expectedMs,
        deviationMs: before.deviationMs + reading.deviationMs,
      };
  }
  return joined;
}
