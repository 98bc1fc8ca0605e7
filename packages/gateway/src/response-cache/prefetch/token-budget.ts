/** Tokens that may be computed ahead: so many a minute, a minute's worth saved up at most. What was overspent is waited for. */
export class TokenBudget {
  readonly #perMinute: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAtMs: number;

  /** `now` in milliseconds. */
  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute;
    this.#now = now;
    this.#tokens = perMinute;
    this.#filledAtMs = now();
  }

  get left(): number {
    const nowMs = this.#now();
    this.#tokens = Math.min(this.#perMinute, this.#tokens + ((nowMs - this.#filledAtMs) / 60_000) * this.#perMinute);
    this.#filledAtMs = nowMs;
    return this.#tokens;
  }

  spend(tokens: number): void {
    this.#tokens = this.left - tokens;
  }
}
