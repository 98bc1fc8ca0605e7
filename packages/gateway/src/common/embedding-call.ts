import type { CacheWish, EmbeddingAnswer, EmbeddingRequest, EmitEvent } from '@open-autoglm/protocol';

/** A request on its way to an engine. */
export interface EmbeddingCall {
  /** The model's name as the client wrote it. */
  readonly model: string;
  /** Whose texts they are; absent: nobody's, and nothing is kept. */
  readonly tenant?: string | undefined;
  /**
   * `off`: nothing is looked up or kept; `refresh`: everything is computed anew. `auto` when absent. What is kept never expires; how old it
   * is nobody knows.
   */
  readonly cache?: CacheWish | undefined;
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

export type EmbeddingPath = (call: EmbeddingCall) => Promise<EmbeddingAnswer>;
