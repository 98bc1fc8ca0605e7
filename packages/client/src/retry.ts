import { ApiError, ConnectionError } from './errors.ts';

/**
 * When a request may be sent again. `repeatable`: whenever it failed for a while, because it changes nothing, or because the server
 * knows it again. `refused`: only when the server said that it did nothing; a connection that broke says no such thing.
 */
export type RetrySafety = 'repeatable' | 'refused';

/** Longer than this nobody is kept waiting: whoever is told to come back later is told so. */
const retryAfterMsMax = 30_000;
const delayMsFirst = 250;
const delayMsMax = 8000;

/** Statuses of a server that did nothing, and may do it later. */
const refusals: ReadonlySet<number> = new Set([429, 503]);
/** Statuses after which the same request may succeed, whatever became of this one. */
const failures: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
/** Of these statuses, what stays as it is: a deadline that is over, an engine that will not come back. */
const final: ReadonlySet<string> = new Set(['deadline_exceeded', 'engine_failed', 'session_limit_exceeded']);

/**
 * How long to wait before the next try, in ms; undefined: it is not worth one, or not safe. `attempt` counts from 0; `random` is from 0 to
 * 1.
 */
export function retryDelayMs(error: unknown, safety: RetrySafety, attempt: number, random: number): number | undefined {
  if (error instanceof ConnectionError) return safety === 'repeatable' ? backoffMs(attempt, random) : undefined;
  if (!(error instanceof ApiError) || final.has(error.code ?? '')) return undefined;
  if (!(safety === 'repeatable' ? failures : refusals).has(error.status)) return undefined;
  const { retryAfterMs = 0 } = error;
  return retryAfterMs > retryAfterMsMax ? undefined : Math.max(retryAfterMs, backoffMs(attempt, random));
}

/** Twice as long each time, and anywhere below: many clients that failed together do not come back together. */
export function backoffMs(attempt: number, random: number): number {
  return Math.min(delayMsMax, delayMsFirst * 2 ** attempt) * (0.5 + random / 2);
}

/** The header's seconds or date, in ms from `now`; undefined where it says nothing. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Retries are a share of the requests, some saved up: a server that is down is not asked several times as often as one that is up. */
export class RetryBudget {
  readonly #share: number;
  readonly #savedMax: number;
  #saved: number;

  constructor(share: number, savedMax: number) {
    this.#share = share;
    this.#savedMax = savedMax;
    this.#saved = savedMax;
  }

  earn(): void {
    this.#saved = Math.min(this.#savedMax, this.#saved + this.#share);
  }

  /** Whether there is a retry to spend; it is spent then. */
  spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}
