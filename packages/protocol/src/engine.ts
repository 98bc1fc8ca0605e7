import type { ContextStrategy } from './context-strategy.ts';
import type { EngineStats } from './engine-stats.ts';
import type { ModelInfo } from './model.ts';
import type { OutputGrammar } from './output-grammar.ts';
import type { GeneratePart } from './parts.ts';
import type { Standing } from './standing.ts';

/** How the next token is chosen. Every field is required: defaults are decided once, at the ingress. */
export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Keep the k likeliest tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set whose probability reaches this; 1 keeps all. */
  readonly topP: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0 keeps all. */
  readonly minP: number;
  /** Divides positive and multiplies negative logits of tokens seen; 1 changes nothing (Keskar et al. 2019). */
  readonly repetitionPenalty: number;
  /** Subtracted once from the logit of each token generated. */
  readonly presencePenalty: number;
  /** Subtracted from a token's logit for each time it was generated. */
  readonly frequencyPenalty: number;
  /** Added to logits, by token id. */
  readonly logitBias: Readonly<Record<number, number>>;
  readonly seed: number;
}

/** The likeliest token each time, of the model's own distribution. */
export const greedySampling: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: {},
  seed: 0,
};

/** A run of prompt text. Only `control` text may become control tokens. */
export interface PromptSegment {
  readonly kind: 'text' | 'control';
  readonly text: string;
}

export type Prompt = { readonly segments: readonly PromptSegment[] } | { readonly tokens: readonly number[] };

/** One sequence to generate. */
export interface GenerateRequest {
  readonly id: string;
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  /** `undefined`: until the context is full, or as many as it holds where it never is. */
  readonly maxTokens: number | undefined;
  /** The answer ends before the first of these that it would contain. */
  readonly stop: readonly string[];
  /** How many alternatives to report for each token; `undefined` reports no logprobs at all. */
  readonly topLogprobs: number | undefined;
  /**
   * What the answer must be; absent: anything. It ends where nothing may follow, and only where it is whole, unless a limit or a stop
   * string cuts it.
   */
  readonly grammar?: OutputGrammar | undefined;
  /** Whose prompt it is: keys and values computed for one scope are never used for another. Those that name none share one. */
  readonly cacheScope?: string | undefined;
  /** What gives way to new tokens when the context is full; the engine's own when absent. */
  readonly contextStrategy?: ContextStrategy | undefined;
  /** Whether the last part says what the answer attended to. */
  readonly attention?: boolean | undefined;
  /** Its place among those that wait; absent: in real time, in the order of arrival. */
  readonly standing?: Standing | undefined;
}

export type EngineState = 'starting' | 'ready' | 'restarting' | 'unreachable' | 'failed' | 'closed';

export interface EngineStatus {
  readonly state: EngineState;
  /** For people: what is being done, or what to do about a failure. */
  readonly detail: string;
}

/**
 * The port that everything which generates text implements: the embedded engine, remote servers, the mock.
 * Its contract suite is `@open-autoglm/protocol/contract`.
 */
export interface Engine {
  /** Named in `x-autoglm-engine`. */
  readonly name: string;
  readonly status: EngineStatus;
  /**
   * As it last reported; absent while there was no report, and always for engines that do not tell. At most a second old while it works.
   */
  readonly stats?: EngineStats | undefined;
  /**
   * Resolves when the model can answer, and again after a restart.
   * Rejects with `engine_failed` when it never will, or with the signal's reason.
   */
  ready(signal?: AbortSignal): Promise<ModelInfo>;
  /**
   * Generates one sequence. Leaving the iteration, or aborting, releases its place within one step.
   * Throws `context_length_exceeded`, `invalid_value`, `queue_full`, `engine_crashed`, `engine_unavailable`.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GeneratePart>;
  /**
   * The token ids of a prompt, as `generate` would read it. Rejects with the signal's reason, and tokenizes nothing more then but the text
   * that it is at.
   */
  tokenize(prompt: Prompt, signal?: AbortSignal): Promise<number[]>;
  /**
   * How many tokens each segment has, as `generate` would read it; a token that begins every prompt is not among them. One call for
   * many: who fits a prompt counts its pieces. Throws as `tokenize`.
   */
  countTokens(segments: readonly PromptSegment[], signal?: AbortSignal): Promise<readonly number[]>;
  /** Ends the engine and every running generation. Idempotent. */
  close(): Promise<void>;
}
