/** At the beginning, and after a quiet time, so many retries may come at once: the requests in flight of a replica that dies. */
export const retriesAtOnceMax = 100;

/**
 * A token bucket that requests fill and extra work empties: retries and hedges stay a share of the requests, so that they
 * cannot multiply the load which made them necessary (the retry budget of Finagle). It begins full.
 */
export class Budget {
  readonly #ratio: number;
  readonly #perSecond: number;
  readonly #max: number;
  #tokens: number;
  #filledAtMs: number | undefined;

  /** `ratio` tokens come with each request and `perSecond` with time; at most `max` are kept. */
  constructor({ ratio, perSecond, max }: { readonly ratio: number; readonly perSecond: number; readonly max: number }) {
    this.#ratio = ratio;
    this.#perSecond = perSecond;
    this.#max = max;
    this.#tokens = max;
  }

  /** A request has come. */
  deposit(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + this.#ratio);
  }

  /** Takes a token, if there is one. */
  withdraw(nowMs: number): boolean {
    const passedMs = nowMs - (this.#filledAtMs ?? nowMs);
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(this.#max, this.#tokens + (passedMs / 1000) * this.#perSecond);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
