import type { EngineStatus } from './engine.ts';
import type { TextsRequest } from './texts-request.ts';

/** What an engine says of the model that makes its embeddings. Sizes in bytes, lengths in tokens. */
export interface EmbeddingModelInfo {
  /** The name under which clients ask for it. */
  readonly id: string;
  /** Where it came from: a file's base name or a package's name. */
  readonly source: string;
  readonly architecture: string;
  readonly weightType: string;
  readonly weightBytes: number;
  /** As a `ModelInfo`'s. */
  readonly weightsFingerprint: string;
  readonly parameterCount: number;
  readonly vocabularySize: number;
  /** The most tokens of one text. */
  readonly contextLength: number;
  /** Elements of a vector. */
  readonly dimensions: number;
  /** How the states of a text's tokens become one vector: `mean`, `cls`, `last`. */
  readonly pooling: string;
}

export interface EmbeddingRequest extends TextsRequest {
  /** Elements that the vectors shall have; absent: as many as the model makes. */
  readonly dimensions?: number | undefined;
  /** A text that is too long loses its end; else it is refused. */
  readonly truncate?: boolean | undefined;
}

export interface EmbeddingAnswer {
  /** One for each input, in order; of length 1 where the model is ours. */
  readonly vectors: readonly Float32Array[];
  readonly promptTokens: number;
  /** Of each input; together `promptTokens`. Absent where an engine does not tell them apart. */
  readonly tokenCounts?: readonly number[] | undefined;
  /** Nothing was encoded: all of it was known. */
  readonly isKept?: boolean | undefined;
  /** Absent where an engine tells nothing of its inside. Both in milliseconds: waiting, and computing. */
  readonly times?: { readonly queueMs: number; readonly computeMs: number } | undefined;
}

/**
 * The port that everything which makes embeddings implements: the embedded engine, remote servers, the mock.
 * Its contract suite is `@open-autoglm/protocol/contract`.
 */
export interface EmbeddingEngine {
  /** Named in `x-autoglm-engine`. */
  readonly name: string;
  readonly status: EngineStatus;
  /**
   * Resolves when it can answer, and again after a restart: with the model, where it knows it. Rejects with `engine_failed`
   * when it never will, or with the signal's reason.
   */
  ready(signal?: AbortSignal): Promise<EmbeddingModelInfo | undefined>;
  /**
   * Aborting gives its place free within one pass. Rejects with `context_length_exceeded`, `invalid_value`, each naming the
   * input, `queue_full`, `engine_crashed`, `engine_unavailable`, those of another server, or the signal's reason.
   */
  embed(request: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingAnswer>;
  /** Ends the engine and every request that runs. Idempotent. */
  close(): Promise<void>;
}
