import type { Bottleneck } from '@open-autoglm/protocol';
import type { RequestProfile } from '../profile/request-profile.ts';
import type { SegmentTimes } from '../profile/segment-times.ts';
import { Baselines, workOf, type SegmentReading } from './baselines.ts';
import { diagnose, minExcessMs, slowestSegment } from './diagnose.ts';
import { BottleneckWindow } from './window.ts';

/** Where the gateway's own process stood still, between two moments of `performance.now()`; in milliseconds. */
export interface Pauses {
  gcMs(fromMs: number, toMs: number): number;
  loopBlockedMs(fromMs: number, toMs: number): number;
}

/** Models with a baseline of their own; those after share the last one. */
const modelsMax = 64;

/** Learns what is usual, and names what was not. */
export class Diagnoser {
  readonly window = new BottleneckWindow();
  readonly #pauses: Pauses;
  readonly #baselines = new Map<string, Baselines>();

  constructor(pauses: Pauses) {
    this.#pauses = pauses;
  }

  /**
   * What has made a request slow so far, for its answer; nothing is learnt. What comes after, such as a client that reads slowly, is not
   * known yet.
   */
  look(profile: RequestProfile, times: SegmentTimes): Bottleneck | undefined {
    // Most answers are over so soon that there is nothing to look for.
    if ((times.total as number) < minExcessMs) return undefined;
    const compared = this.#compare(profile, times);
    return compared?.slow && compared.baselines.isKnown ? this.#explain(profile, compared.slow, times) : undefined;
  }

  /** The segment that made a finished request slow, if one did; then learns from it. To be called once for each. */
  judge(profile: RequestProfile): SegmentReading | undefined {
    const times = profile.times();
    const compared = this.#compare(profile, times);
    if (!compared) return undefined;
    const { baselines, work, slow } = compared;
    if (profile.outcome === 'answered') baselines.learn(work, times);
    if (!slow) this.window.add(profile.endedAtMs as number, undefined);
    return slow;
  }

  /** Why a finished request was slow. The garbage collector's last pause is known one turn of the event loop after it. */
  explain(profile: RequestProfile, slow: SegmentReading): Bottleneck {
    const bottleneck = this.#explain(profile, slow, profile.times());
    this.window.add(profile.endedAtMs as number, bottleneck);
    return bottleneck;
  }

  #compare(profile: RequestProfile, times: SegmentTimes) {
    const { model, engine } = profile;
    // Refused before an engine was asked: there is nothing to compare.
    if (model === undefined || engine === undefined) return undefined;
    const baselines = this.#of(model);
    const work = workOf(profile, times);
    // What is over so soon has no segment that grew by so much.
    return { baselines, work, slow: (times.total as number) < minExcessMs ? undefined : slowestSegment(baselines.read(work, times)) };
  }

  #explain(profile: RequestProfile, slow: SegmentReading, times: SegmentTimes): Bottleneck {
    const from = profile.start.startedAtMs;
    const to = from + (times.total as number);
    const choice = profile.slowestChoice;
    const gcMs = this.#pauses.gcMs(from, to);
    return diagnose(slow, {
      gcMs,
      loopBlockedMs: Math.max(0, this.#pauses.loopBlockedMs(from, to) - gcMs),
      bodyMs: profile.spentOn('input', 'body'),
      modelMs: profile.spentOn('input', 'model'),
      documentsMs: profile.spentOn('input', 'documents'),
      imagesMs: profile.spentOn('input', 'images'),
      templateMs: profile.spentOn('input', 'template'),
      compressionMs: profile.spentOn('input', 'compress'),
      fitMs: profile.spentOn('input', 'fit'),
      inflightMs: profile.spentOn('cache', 'inflight'),
      clientMs: profile.spentOn('output', 'client'),
      encodeMs: profile.spentOn('output', 'encode'),
      preemptedMs: choice?.preemptedMs ?? 0,
      engine: slow.segment === 'prefill' ? choice?.prefillDelays : choice?.decodeDelays,
    });
  }

  #of(model: string): Baselines {
    const name = this.#baselines.has(model) || this.#baselines.size < modelsMax ? model : '';
    const known = this.#baselines.get(name);
    if (known) return known;
    const made = new Baselines();
    this.#baselines.set(name, made);
    return made;
  }
}
