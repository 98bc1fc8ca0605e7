import { startEmbeddedEngine, startEmbeddingEngine, type EmbeddedEngineStatus } from '@open-autoglm/engine';
import type { BoundedContext, EmbeddingEngine, Engine } from '@open-autoglm/protocol';

export interface EmbeddedModelConfig {
  readonly path: string;
  readonly quantization?: 'none' | 'int8' | 'int4';
  readonly enable_continuous_batching: boolean;
  readonly max_batch_size: number;
  readonly context_length: number;
  readonly context_strategy?: BoundedContext;
  readonly threads?: number;
  readonly step_token_budget: number;
  readonly max_queue: number;
  readonly speculation: 'auto' | 'prompt_lookup' | 'none';
  readonly kv_cache_strategy: 'paged' | 'static';
  readonly kv_cache_type: 'f16' | 'q8_0';
  readonly kv_cache_bytes?: number;
  readonly kv_cache_shared_between_tenants: boolean;
  readonly stream_interval_ms: number;
}

/** Of `admission` in the configuration file, what the engine's own queue goes by. */
export interface SharingConfig {
  readonly aging_ms: number;
  readonly preemption_share: number;
  readonly lanes: { readonly batch_yields: 'preemption' | 'time_slice'; readonly batch_share_min: number };
}

/** Starts the embedded engine as the configuration file describes it. */
export function embeddedEngine(
  config: EmbeddedModelConfig,
  { aging_ms: agingMs, preemption_share: preemptibleShare, lanes }: SharingConfig,
  onStatus?: (status: EmbeddedEngineStatus) => void,
): Engine {
  return startEmbeddedEngine({
    model: config.path,
    quantization: config.quantization,
    threads: config.threads,
    contextLength: config.context_length,
    contextStrategy: config.context_strategy,
    sharing: { agingMs, preemptibleShare, batchYields: lanes.batch_yields, batchShareMin: lanes.batch_share_min },
    maxBatchSize: config.max_batch_size,
    stepTokenBudget: config.step_token_budget,
    // Who waits is bounded before it comes here; beside those, here wait only requests that gave their places to others.
    maxQueue: config.max_queue + 2 * config.max_batch_size,
    kvCache: {
      strategy: config.kv_cache_strategy,
      type: config.kv_cache_type,
      maxBytes: config.kv_cache_bytes,
      isSharedBetweenScopes: config.kv_cache_shared_between_tenants,
    },
    speculation: config.speculation,
    streamIntervalMs: config.stream_interval_ms,
    continuousBatching: config.enable_continuous_batching,
    ...(onStatus && { onStatus }),
  });
}

export interface EmbeddingModelConfig {
  readonly model: string;
  /** The name that clients use. */
  readonly id: string;
  readonly threads: number;
  readonly max_queue: number;
}

/** Starts the embedding engine as the configuration file describes it. */
export function embeddingEngine(
  { model, id, threads, max_queue: maxQueue }: EmbeddingModelConfig,
  { lanes }: SharingConfig,
  onStatus: (status: EmbeddedEngineStatus) => void,
): EmbeddingEngine {
  return startEmbeddingEngine({ model, id, threads, maxQueue, batchShareMin: lanes.batch_share_min, onStatus });
}
