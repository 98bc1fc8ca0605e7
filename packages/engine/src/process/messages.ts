import type { ContextStrategy, EngineStats, ErrorCode, GenerateRequest, ModelInfo, Prompt, PromptSegment } from '@open-autoglm/protocol';
import type { KvCacheOptions } from '../kv-cache/open-kv-cache.ts';
import type { StepOutput } from '../core.ts';
import type { SharingLimits } from '../scheduler/standing.ts';
import type { Quantization } from '../models/prepare-options.ts';
import type { Speculation } from '../speculation/learn-step-costs.ts';

/** Everything that the engine process must know to start. */
export interface EngineProcessOptions {
  /** The name of a model, such as `default`, or the path of a GGUF file. */
  readonly model: string;
  /** What the weights become; as the model has them when not given. */
  readonly quantization?: Quantization | undefined;
  readonly threads: number;
  readonly contextLength: number;
  readonly maxBatchSize: number;
  readonly stepTokenBudget: number;
  /** Text of a sequence may wait this long for more, in milliseconds; see `OutputBuffer`. */
  readonly streamIntervalMs: number;
  readonly maxQueue: number;
  readonly kvCache: KvCacheOptions;
  readonly continuousBatching: boolean;
  readonly speculation: Speculation;
  readonly contextStrategy?: ContextStrategy | undefined;
  readonly sharing?: SharingLimits | undefined;
  /** Folder of converted models. */
  readonly home: string;
}

/** An error as it crosses to the gateway. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly param?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** From the gateway to the engine process. */
export type EngineCommand =
  | { readonly type: 'start'; readonly options: EngineProcessOptions }
  /** Times on the machine's clock. */
  | { readonly type: 'generate'; readonly request: GenerateRequest }
  | { readonly type: 'abort'; readonly id: string }
  | { readonly type: 'tokenize'; readonly call: number; readonly prompt: Prompt }
  | { readonly type: 'count-tokens'; readonly call: number; readonly segments: readonly PromptSegment[] }
  /** Nobody waits for what a call of either kind gives. */
  | { readonly type: 'leave-call'; readonly call: number };

/** From the engine process to the gateway. What one step brought crosses in one message. */
export type EngineReport =
  | { readonly type: 'progress'; readonly phase: string; readonly fraction: number }
  | { readonly type: 'ready'; readonly model: ModelInfo; readonly notice: string | undefined }
  | { readonly type: 'failed'; readonly error: WireError }
  | { readonly type: 'parts'; readonly outputs: readonly StepOutput[] }
  /** A step has ended that brought nothing yet; see `LifeSign`. */
  | { readonly type: 'alive' }
  /** At most once a second, while there is work and once after it. */
  | { readonly type: 'stats'; readonly stats: EngineStats }
  | { readonly type: 'error'; readonly id: string; readonly error: WireError }
  | { readonly type: 'tokens'; readonly call: number; readonly tokens: readonly number[] }
  /** One count for each segment. */
  | { readonly type: 'token-counts'; readonly call: number; readonly counts: readonly number[] }
  | { readonly type: 'tokenize-error'; readonly call: number; readonly error: WireError };
