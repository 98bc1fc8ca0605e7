/** What is known of an answer's speed, at any moment of it. Times in milliseconds. */
export interface Speed {
  /** From sending the request to the first text. */
  readonly ttftMs: number | undefined;
  /** Of the tokens after the first, whose time is the TTFT. */
  readonly tokensPerSecond: number | undefined;
  readonly tokenCount: number;
}

/** Measures one answer. Until the server tells the count, each piece of text counts as one token. */
export class SpeedMeter {
  readonly #startedAt: number;
  #firstAt: number | undefined;
  #lastAt = 0;
  #count = 0;

  constructor(now: number) {
    this.#startedAt = now;
  }

  /** A piece of text has come. */
  text(now: number): void {
    this.#firstAt ??= now;
    this.#lastAt = now;
    this.#count += 1;
  }

  /** The server's own count: some tokens are part of a character and come without text. */
  total(tokens: number): void {
    this.#count = tokens;
  }

  get speed(): Speed {
    const spentMs = this.#firstAt === undefined ? 0 : this.#lastAt - this.#firstAt;
    return {
      ttftMs: this.#firstAt === undefined ? undefined : this.#firstAt - this.#startedAt,
      tokensPerSecond: this.#count > 1 && spentMs > 0 ? ((this.#count - 1) / spentMs) * 1000 : undefined,
      tokenCount: this.#count,
    };
  }
}
