/** Why a choice ended: a stop token or stop string, a token limit, a call of a tool, or another server's filter. */
export type FinishReason = 'stop' | 'length' | 'content_filter' | 'tool_calls' | 'function_call';

export interface AlternativeToken {
  readonly token: string;
  /** The token's own bytes: a token may be part of a character, and `token` then shows U+FFFD. */
  readonly bytes: readonly number[];
  /**
   * Natural logarithm of the model's own probability: before temperature, truncation and a grammar, which may have ruled out likelier
   * tokens.
   */
  readonly logprob: number;
}

export interface TokenLogprob extends AlternativeToken {
  /** The likeliest tokens at this place, best first. */
  readonly top: readonly AlternativeToken[];
}

/** The choice begins. Another server's: what it says of the prompt comes with the usage, at the end. */
export interface TextStartPart {
  readonly type: 'text-start';
}

/** What lengthened an engine's time for one sequence, in milliseconds of that time; those that came together count in each. */
export interface EngineDelays {
  /** Prompts of others were read. */
  readonly promptsMs: number;
  /** Steps took longer than with this sequence alone, because others were in them. */
  readonly sharingMs: number;
  /** Threads had no core, because other programs had it. */
  readonly coresMs: number;
  /** The engine's garbage collector stopped it. */
  readonly gcMs: number;
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
  /** Of `prefillMs`; absent where the engine does not know. */
  readonly delays?: EngineDelays | undefined;
}

/** New text. It may be empty while a character is incomplete or a stop string may be under way. */
export interface TextDeltaPart {
  readonly type: 'text-delta';
  readonly text: string;
  /** How many tokens this part accounts for. */
  readonly tokenCount: number;
  readonly logprobs?: readonly TokenLogprob[];
}

/** What a model thinks before it answers, where its server tells it apart. */
export interface ReasoningDeltaPart {
  readonly type: 'reasoning-delta';
  readonly text: string;
  readonly tokenCount: number;
  /** The field that another server told it in; `reasoning_content` when absent. */
  readonly field?: 'reasoning';
}

/**
 * What is said of a choice in words that no other part has: fields of OpenAI's answers, such as the calls of tools. Of another server,
 * as they came. Of a stream they are one chunk's, and those of several chunks add up as OpenAI's deltas do; of a whole answer, all of
 * them.
 */
export interface WireDeltaPart {
  readonly type: 'wire-delta';
  /** Fields of `delta`, or of the whole answer's `message`: `tool_calls`, `audio`, `annotations`, … */
  readonly delta: Readonly<Record<string, unknown>>;
  /** Fields beside it: `token_ids`, … */
  readonly choice: Readonly<Record<string, unknown>>;
  /** Fields of the whole answer: `system_fingerprint`, … */
  readonly answer: Readonly<Record<string, unknown>>;
}

/** What an answer attended to: shares that add up to 1 with `answerWeight`, averaged over its tokens, all heads and layers. */
export interface AttentionMap {
  /** Tokens of the answer whose attention was looked at. */
  readonly observedTokens: number;
  /** Tokens, of prompt and answer, that a context strategy had dropped by then: nothing attended to them any more. */
  readonly droppedTokens: number;
  /** What went to the answer itself. */
  readonly answerWeight: number;
  /** The prompt's tokens [start, end), as far as they were there. */
  readonly blocks: readonly { readonly start: number; readonly end: number; readonly weight: number }[];
}

export interface TextEndPart {
  readonly type: 'text-end';
  readonly finishReason: FinishReason;
  readonly completionTokens: number;
  readonly decodeMs: number;
  /** Of `decodeMs`; absent where the engine does not know. */
  readonly delays?: EngineDelays | undefined;
  /** Where the request asked for it. */
  readonly attention?: AttentionMap;
  /**
   * How often it gave its place to others, where it did, and how long it waited for another after its first token: that is no part of
   * `decodeMs`.
   */
  readonly suspensions?: { readonly count: number; readonly milliseconds: number };
  /** What another server says beside the reason, as it wrote it: `stop_reason`, … */
  readonly wire?: Readonly<Record<string, unknown>>;
}

/** The request's token counts, from an engine that tells them at the end, for all choices together. They outweigh the parts' own. */
export interface UsagePart {
  readonly type: 'usage';
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** `chunks`: the engine told nothing. Chunks with text were counted, and of the prompt nothing is known. */
  readonly source: 'engine' | 'chunks';
  /** OpenAI's `usage` as another server wrote it, which may tell more. */
  readonly wire?: Readonly<Record<string, unknown>>;
}

/** What an engine yields for one sequence: `prompt-end`, then `text-delta`s, then `text-end`. */
export type GeneratePart = PromptEndPart | TextDeltaPart | TextEndPart;

/**
 * What travels up the request path: the parts of every choice, each with its choice's index. A choice begins with `prompt-end`
 * or `text-start`; a `usage`, where there is one, is the last part of all.
 */
export type StreamPart = (GeneratePart | TextStartPart | ReasoningDeltaPart | WireDeltaPart | UsagePart) & { readonly index: number };

/** Gives an answer's parts. What answers at once, as another server's whole answer does, need not have a promise for each of them. */
export interface PartsIterator extends AsyncIterator<StreamPart> {
  /**
   * As `next`, where what comes next is here already, the end included; undefined: it has to be waited for. Not to be called while a `next`
   * is waited for.
   */
  nextNow?(): IteratorResult<StreamPart> | undefined;
}
