import type { EngineDelays } from '@open-autoglm/protocol';

/** What stops the process as a whole, in milliseconds since its start. */
export interface Pauses {
  readonly missingCoresMs: number;
  readonly gcMs: number;
}

/** How the account stood at one moment. */
export interface DelayMark extends Pauses {
  readonly promptsMs: number;
  readonly decodingMs: number;
}

/** A decode step. */
export interface DecodeStep {
  readonly sequences: number;
  /** Tokens of each; more than one with drafts. */
  readonly queries: number;
  readonly milliseconds: number;
  readonly missingCoresMs: number;
  /** The step did nothing that the next of its kind will not do. */
  readonly isTypical: boolean;
}

/** Since a mark, what was done for the sequence that asks. */
export interface OwnTime {
  /** Its prompt was read, or again what it had lost of it. */
  readonly promptMs: number;
  /** It decoded. */
  readonly decodingMs: number;
  /** Of that, what others' sharing the steps took. */
  readonly sharedMs: number;
}

/** Of a new step of one sequence, how much it moves what such a step is taken to need. */
const loneWeight = 0.05;

/**
 * Where the time of the steps went, summed up from the engine's start: two marks tell it of the time between them. Costs some additions a
 * step.
 */
export class DelayAccount {
  readonly #pauses: () => Pauses;
  #promptsMs = 0;
  #decodingMs = 0;
  /** What a decode step takes with one sequence; undefined before there was one: sharing is not known then. */
  #loneMs: number | undefined;

  constructor(pauses: () => Pauses) {
    this.#pauses = pauses;
  }

  mark(): DelayMark {
    return { promptsMs: this.#promptsMs, decodingMs: this.#decodingMs, ...this.#pauses() };
  }

  /** A piece of a prompt was read. */
  onPrompt(milliseconds: number): void {
    this.#promptsMs += milliseconds;
  }

  /**
   * Returns how much longer the step took each of its sequences than one by itself. Of a step with drafts nothing is known: what is longer
   * may be its own.
   */
  onDecode({ sequences, queries, milliseconds, missingCoresMs, isTypical }: DecodeStep): number {
    this.#decodingMs += milliseconds;
    if (queries > 1) return 0;
    // Counted in ticks, the loss may come out below nothing or above the step.
    const computingMs = milliseconds - Math.min(milliseconds, Math.max(0, missingCoresMs));
    if (sequences > 1) return Math.max(0, computingMs - (this.#loneMs ?? computingMs));
    if (isTypical) this.#loneMs = this.#loneMs === undefined ? computingMs : this.#loneMs + loneWeight * (computingMs - this.#loneMs);
    return 0;
  }

  /**
   * What delayed a sequence since `start`: a step in which it had no part was all for others, as all steps are while its prompt is read,
   * and many where lanes have slices of time.
   */
  delaysSince(start: DelayMark, own: OwnTime): EngineDelays {
    const now = this.mark();
    return {
      promptsMs: Math.max(0, now.promptsMs - start.promptsMs - own.promptMs),
      sharingMs: Math.max(0, now.decodingMs - start.decodingMs - own.decodingMs) + own.sharedMs,
      coresMs: Math.max(0, now.missingCoresMs - start.missingCoresMs),
      gcMs: now.gcMs - start.gcMs,
    };
  }
}

/**
 * What delayed one sequence, first until its first token, then from there on: only while it has a place, since waiting for one is told as
 * such.
 */
export class SequenceDelays {
  readonly #account: DelayAccount;
  /** Undefined while it has no place. */
  #since: DelayMark | undefined;
  /** Since then. */
  #own = { promptMs: 0, decodingMs: 0, sharedMs: 0 };
  /** Of the places that it had before. */
  #before: EngineDelays | undefined;

  constructor(account: DelayAccount) {
    this.#account = account;
  }

  /** It has a place. */
  begin(): void {
    this.#since = this.#account.mark();
    this.#own = { promptMs: 0, decodingMs: 0, sharedMs: 0 };
  }

  /** Its own prompt was read, or what it had lost of it. */
  onPrompt(milliseconds: number): void {
    this.#own.promptMs += milliseconds;
  }

  /** It had a part in a step of so long, of which `sharedMs` were for the others. */
  onDecode(milliseconds: number, sharedMs: number): void {
    this.#own.decodingMs += milliseconds;
    this.#own.sharedMs += sharedMs;
  }

  /** It has lost its place. */
  pause(): void {
    this.#before = this.#soFar();
    this.#since = undefined;
  }

  /** It decodes from now on. Returns what delayed it until here; undefined where another read its prompt. */
  takePrompt(): EngineDelays | undefined {
    const told = this.#soFar();
    this.#before = undefined;
    this.begin();
    return told;
  }

  /** It has ended. Returns what delayed it since its first token. */
  takeDecode(): EngineDelays | undefined {
    return this.#soFar();
  }

  #soFar(): EngineDelays | undefined {
    if (!this.#since) return this.#before;
    const now = this.#account.delaysSince(this.#since, this.#own);
    return this.#before ? add(this.#before, now) : now;
  }
}

function add(one: EngineDelays, other: EngineDelays): EngineDelays {
  return {
    promptsMs: one.promptsMs + other.promptsMs,
    sharingMs: one.sharingMs + other.sharingMs,
    coresMs: one.coresMs + other.coresMs,
    gcMs: one.gcMs + other.gcMs,
  };
}
