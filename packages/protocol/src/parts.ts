/** Why a choice ended: a stop token or stop string, or a token limit. */
export type FinishReason = 'stop' | 'length';

export interface AlternativeToken {
  readonly token: string;
  /** The token's own bytes: a token may be part of a character, and `token` then shows U+FFFD. */
  readonly bytes: readonly number[];
  /** Natural logarithm of the probability before temperature and truncation. */
  readonly logprob: number;
}

export interface TokenLogprob extends AlternativeToken {
  /** The likeliest tokens at this place, best first. */
  readonly top: readonly AlternativeToken[];
}

/** The prompt has been read; the first token follows. */
export interface PromptEndPart {
  readonly type: 'prompt-end';
  readonly promptTokens: number;
  /** Prompt tokens whose KV was already there. */
  readonly cachedTokens: number;
  /** Time waiting for a place in the batch. */
  readonly queueMs: number;
  /** Time from the first prompt token's step to the last one's. */
  readonly prefillMs: number;
}

/** New text. It may be empty while a character is incomplete or a stop string may be under way. */
export interface TextDeltaPart {
  readonly type: 'text-delta';
  readonly text: string;
  /** How many tokens this part accounts for. */
  readonly tokenCount: number;
  readonly logprobs?: readonly TokenLogprob[];
}

export interface TextEndPart {
  readonly type: 'text-end';
  readonly finishReason: FinishReason;
  readonly completionTokens: number;
  readonly decodeMs: number;
}

/** What an engine yields for one sequence: `prompt-end`, then `text-delta`s, then `text-end`. */
export type GeneratePart = PromptEndPart | TextDeltaPart | TextEndPart;

/** What travels up the request path: the parts of every choice, each with its choice's index. */
export type StreamPart = GeneratePart & { readonly index: number };
