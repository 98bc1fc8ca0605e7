import type { Bottleneck } from '@open-autoglm/protocol';
import type { RequestProfile } from '../profile/request-profile.ts';
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

  /** The segment that made a finished request slow, if one did; then learns from it. To be called once for each. */
  judge(profile: RequestProfile): SegmentReading | undefined {
    const { model, engine, outcome } = profile;
    // Refused before an engine was asked: there is nothing to compare.
    if (model === undefined || engine === undefined) return undefined;
    const baselines = this.#of(model);
    const times = profile.times();
    const work = workOf(profile, times);
    // What is over so soon has no segment that grew by so much.
    const slow = (times.total as number) < minExcessMs ? undefined : slowestSegment(baselines.read(work, times));
    if (outcome === 'answered') baselines.learn(work, times);
    if (!slow) this.window.add(profile.endedAtMs as number, undefined);
    return slow;
  }

  /** Why it was slow. The garbage collector's last pause is known one turn of the event loop after it. */
  explain(profile: RequestProfile, slow: SegmentReading): Bottleneck {
    const [from, to] = [profile.start.startedAtMs, profile.endedAtMs as number];
    const gcMs = this.#pauses.gcMs(from, to);
    const bottleneck = diagnose(slow, {
      gcMs,
      loopBlockedMs: Math.max(0, this.#pauses.loopBlockedMs(from, to) - gcMs),
      bodyMs: profile.spentOn('input', 'body'),
      modelMs: profile.spentOn('input', 'model'),
      templateMs: profile.spentOn('input', 'template'),
      inflightMs: profile.spentOn('cache', 'inflight'),
      clientMs: profile.spentOn('output', 'client'),
      encodeMs: profile.spentOn('output', 'encode'),
    });
    this.window.add(to, bottleneck);
    return bottleneck;
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
