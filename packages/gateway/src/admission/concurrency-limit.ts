/** The first part of a stream is its first token, that of a whole answer its end: each is compared with its like. */
export type AnswerForm = 'stream' | 'whole';

export interface ConcurrencySettings {
  readonly initial: number;
  readonly min: number;
  /** Never more, however well it goes: in a mild overload the gradient alone would find no end. */
  readonly max: number;
  /** A first part may take so many times as long as where nobody waits, before there is less at once. */
  readonly tolerance: number;
  /**
   * And so many milliseconds longer in any case: a server that begins within a millisecond takes several times as long for any reason,
   * mostly for want of a core.
   */
  readonly toleranceMs: number;
}

/** The first part of an answer. */
export interface FirstPart {
  readonly form: AnswerForm;
  readonly milliseconds: number;
  /** Requests under way when it was sent, itself included. */
  readonly runningCount: number;
}

/** Answers after which the limit moves. */
const windowLength = 8;
/** By how much of the way to its new value: one slow window is no reason for more. */
const smoothing = 0.2;
const gradientMin = 0.5;
/**
 * After so many windows it is looked at again what an answer takes where nobody waits; at the beginning sooner: the first answers may have
 * had too much company.
 */
const windowsBetweenProbes = 50;
const firstProbes: ReadonlySet<number> = new Set([2, 4, 8, 16, 32]);
/** A probe that finds no such answers among this many ends without a result. */
const probeLength = 4 * windowLength;

/**
 * How many requests at once one engine does well with, found by its time to the first part (the gradient algorithm of
 * Netflix's concurrency-limits): as long as that stays near what it is without company, the limit grows by its root; when it is
 * longer, the limit shrinks in proportion. What it is without company is measured: now and then only half as many are
 * sent for some answers. An average of past times would follow a server into its overload, and the limit with it.
 */
export class ConcurrencyLimit {
  readonly #settings: ConcurrencySettings;
  /** Milliseconds to the first part where nobody waits; 0: unknown. */
  readonly #baselines: Record<AnswerForm, number> = { stream: 0, whole: 0 };
  #value: number;
  #count = 0;
  #excesses = 0;
  #runningMost = 0;
  #windows = 0;
  #probe: Probe | undefined;

  constructor(settings: ConcurrencySettings) {
    this.#settings = settings;
    this.#value = this.#clamp(settings.initial);
  }

  /** A whole number. */
  get value(): number {
    return Math.floor(this.#probe ? Math.max(this.#settings.min, this.#value / 2) : this.#value);
  }

  add(part: FirstPart): void {
    if (this.#probe) this.#addToProbe(this.#probe, part);
    else this.#addToWindow(part);
  }

  /** The engine itself says that it has too much. */
  onRefusal(): void {
    this.#value = this.#clamp(this.#value * 0.9);
  }

  #addToWindow({ form, milliseconds, runningCount }: FirstPart): void {
    const baseline = this.#baselines[form];
    // Faster than known: it is the new measure, but one answer alone is believed only half.
    if (baseline === 0) this.#baselines[form] = milliseconds;
    else if (milliseconds < baseline) this.#baselines[form] = (baseline + milliseconds) / 2;
    this.#excesses += baseline === 0 ? 1 : milliseconds / this.#mostOf(baseline);
    this.#runningMost = Math.max(this.#runningMost, runningCount);
    this.#count += 1;
    if (this.#count >= windowLength) this.#endWindow();
  }

  #endWindow(): void {
    this.#value = this.#clamp(nextLimit({ limit: this.#value, excess: this.#excesses / this.#count, runningMost: this.#runningMost }));
    this.#windows += 1;
    this.#count = 0;
    this.#excesses = 0;
    this.#runningMost = 0;
    // With the least there may be, half of it would be measured no differently.
    const isDue = this.#windows % windowsBetweenProbes === 0 || firstProbes.has(this.#windows);
    if (isDue && this.#value > this.#settings.min)
      this.#probe = { seen: 0, sums: { stream: 0, whole: 0 }, counts: { stream: 0, whole: 0 } };
  }

  #addToProbe(probe: Probe, { form, milliseconds, runningCount }: FirstPart): void {
    probe.seen += 1;
    if (runningCount <= this.value) {
      probe.sums[form] += milliseconds;
      probe.counts[form] += 1;
    }
    if (probe.counts.stream + probe.counts.whole < windowLength && probe.seen < probeLength) return;
    for (const one of ['stream', 'whole'] as const) {
      if (probe.counts[one] >= windowLength / 2) this.#baselines[one] = probe.sums[one] / probe.counts[one];
    }
    this.#probe = undefined;
  }

  #mostOf(baseline: number): number {
    const { tolerance, toleranceMs } = this.#settings;
    return Math.max(0.001, baseline * tolerance, baseline + toleranceMs);
  }

  #clamp(value: number): number {
    return Math.min(this.#settings.max, Math.max(this.#settings.min, value));
  }
}

interface Probe {
  seen: number;
  readonly sums: Record<AnswerForm, number>;
  readonly counts: Record<AnswerForm, number>;
}

export interface LimitWindow {
  readonly limit: number;
  /** Times to the first part, over what they may be. */
  readonly excess: number;
  readonly runningMost: number;
}

/** Where the limit moves after a window. Who had less than half of it under way has not tried it: it stays. */
export function nextLimit({ limit, excess, runningMost }: LimitWindow): number {
  if (runningMost < limit / 2) return limit;
  const gradient = Math.min(1, Math.max(gradientMin, 1 / excess));
  return limit + (limit * gradient + Math.sqrt(limit) - limit) * smoothing;
}
