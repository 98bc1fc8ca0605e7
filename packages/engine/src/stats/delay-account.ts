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
  readonly sharingMs: number;
}

/** Of a new step of one sequence, how much it moves what such a step is taken to need. */
const loneWeight = 0.05;

/** Where the time of the steps went, summed up from the engine's start: two marks tell it of the time between them. Costs some additions a step. */
export class DelayAccount {
  readonly #pauses: () => Pauses;
  #promptsMs = 0;
  #decodingMs = 0;
  #sharingMs = 0;
  /** What a decode step takes with one sequence; undefined before there was one: sharing is not known then. */
  #loneMs: number | undefined;

  constructor(pauses: () => Pauses) {
    this.#pauses = pauses;
  }

  mark(): DelayMark {
    const { missingCoresMs, gcMs } = this.#pauses();
    return { promptsMs: this.#promptsMs, decodingMs: this.#decodingMs, sharingMs: this.#sharingMs, missingCoresMs, gcMs };
  }

  /** A piece of a prompt was read. */
  onPrompt(milliseconds: number): void {
    this.#promptsMs += milliseconds;
  }

  /** So many sequences got their next tokens. `isTypical`: the step did nothing that the next of its kind will not do. */
  onDecode({ sequences, milliseconds, missingCoresMs, isTypical }: { readonly sequences: number; readonly milliseconds: number; readonly missingCoresMs: number; readonly isTypical: boolean }): void {
    this.#decodingMs += milliseconds;
    // Counted in ticks, the loss may come out below nothing or above the step.
    const computingMs = milliseconds - Math.min(milliseconds, Math.max(0, missingCoresMs));
    if (sequences > 1) this.#sharingMs += Math.max(0, computingMs - (this.#loneMs ?? computingMs));
    else if (isTypical) this.#loneMs = this.#loneMs === undefined ? computingMs : this.#loneMs + loneWeight * (computingMs - this.#loneMs);
  }

  /** Of the time since `start`, in which a prompt was read, itself for `ownMs`. Steps of those that decode were all for others. */
  duringPrompt(start: DelayMark, ownMs: number): EngineDelays {
    const { decodingMs, ...rest } = this.#since(start, ownMs);
    return { ...rest, sharingMs: decodingMs };
  }

  /** Of the time since `start`, in which a sequence decoded; reading its tokens once more, where it had lost them, took it `ownMs`. */
  duringDecode(start: DelayMark, ownMs = 0): EngineDelays {
    const { promptsMs, sharingMs, coresMs, gcMs } = this.#since(start, ownMs);
    return { promptsMs, sharingMs, coresMs, gcMs };
  }

  #since(start: DelayMark, ownMs: number) {
    const now = this.mark();
    return {
      promptsMs: Math.max(0, now.promptsMs - start.promptsMs - ownMs),
      decodingMs: now.decodingMs - start.decodingMs,
      sharingMs: now.sharingMs - start.sharingMs,
      coresMs: Math.max(0, now.missingCoresMs - start.missingCoresMs),
      gcMs: now.gcMs - start.gcMs,
    };
  }
}

/** What delayed one sequence, first until its first token, then from there on: only while it has a place, since waiting for one is told as such. */
export class SequenceDelays {
  readonly #account: DelayAccount;
  /** Undefined while it has no place. */
  #since: DelayMark | undefined;
  /** Reading its own prompt, since then. */
  #ownMs = 0;
  /** Of the places that it had before. */
  #before: EngineDelays | undefined;
  #isDecoding = false;

  constructor(account: DelayAccount) {
    this.#account = account;
  }

  /** It has a place. */
  begin(): void {
    this.#since = this.#account.mark();
    this.#ownMs = 0;
  }

  /** Its own prompt was read, or what it had lost of it. */
  onPrompt(milliseconds: number): void {
    this.#ownMs += milliseconds;
  }

  /** It has lost its place. */
  pause(): void {
    this.#before = this.#soFar();
    this.#since = undefined;
  }

  /** It decodes from now on. Returns what delayed it until here; undefined where another read its prompt. */
  takePrompt(): EngineDelays | undefined {
    const told = this.#soFar();
    this.#isDecoding = true;
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
    const now = this.#isDecoding ? this.#account.duringDecode(this.#since, this.#ownMs) : this.#account.duringPrompt(this.#since, this.#ownMs);
    return this.#before ? add(this.#before, now) : now;
  }
}

function add(one: EngineDelays, other: EngineDelays): EngineDelays {
  return { promptsMs: one.promptsMs + other.promptsMs, sharingMs: one.sharingMs + other.sharingMs, coresMs: one.coresMs + other.coresMs, gcMs: one.gcMs + other.gcMs };
}
