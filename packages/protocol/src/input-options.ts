/** How a prompt that is too long is made to fit. Counts in tokens. */
export interface FitOptions {
  /** The most that the prompt may have; what the model's context leaves beside the answer when not given. */
  readonly promptTokensMax?: number | undefined;
  /** Left free for an answer that the request does not bound. */
  readonly reserveTokens?: number | undefined;
  /** Turns at the end that stay before others do. */
  readonly recentTurns?: number | undefined;
}
