/** How a prompt that is too long is made to fit. Counts in tokens. */
export interface FitOptions {
  /** The most that the prompt may have; what the model's context leaves beside the answer when not given. */
  readonly promptTokensMax?: number | undefined;
  /** Left free for an answer that the request does not bound. */
  readonly reserveTokens?: number | undefined;
  /** Turns at the end that stay before others do. */
  readonly recentTurns?: number | undefined;
}

export type CompressionMethod = 'off' | 'template' | 'dedupe' | 'extract' | 'adaptive';

/** How a prompt is made shorter, whether it fits or not. */
export interface CompressionOptions {
  /**
   * `template`: what is said several times is said once, in a legend; nothing is lost. `dedupe`: sentences that say the same again go.
   * `extract`: those go that have least to do with the last turn. `adaptive`: as `extract`, the more the longer first tokens take.
   */
  readonly method: CompressionMethod;
  /** Of `extract`: the share of the prompt that is spared, 0 … 1, as far as what holds facts leaves it. */
  readonly rate?: number | undefined;
}

/** Texts that are read for the question of a chat before it is answered. */
export interface DocumentOptions {
  readonly texts: readonly { readonly text: string; readonly title?: string | undefined }[];
  /**
   * `embed`: the pieces that come nearest to the question are put before it; `summarize`: a summary of every part, made by the model
   * itself.
   */
  readonly mode: 'embed' | 'summarize';
  /** Of `embed`: the model for embeddings; the server's own when not given. */
  readonly model?: string | undefined;
  /** Tokens of the prompt that they may take. */
  readonly tokensMax?: number | undefined;
}
