/** A request that was answered, in milliseconds and tokens. */
export interface Served {
  readonly firstMs: number;
  readonly restMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Each answer moves the estimates by this share of the difference. */
const share = 0.05;
/** Before anything was seen: what matters is that a token of an answer costs several times one of a prompt. */
const promptMsFirst = 0.2;
const outputMsFirst = 5;

/** How long an engine takes over a token, as it was lately: measured under the load that there is, so that it holds for it. */
export class WorkModel {
  msPerPromptToken = promptMsFirst;
  msPerOutputToken = outputMsFirst;
  /** Answers seen. */
  count = 0;
  #meanMs = 0;

  /** A request takes so long, from being sent to its end, on average; 0 before one has ended. */
  get meanMs(): number {
    return this.#meanMs;
  }

  add({ firstMs, restMs, promptTokens, outputTokens }: Served): void {
    this.count += 1;
    this.#meanMs += (firstMs + restMs - this.#meanMs) * Math.max(share, 1 / this.count);
    if (promptTokens > 0) this.msPerPromptToken += (firstMs / promptTokens - this.msPerPromptToken) * share;
    if (outputTokens > 1) this.msPerOutputToken += (restMs / (outputTokens - 1) - this.msPerOutputToken) * share;
  }
}
