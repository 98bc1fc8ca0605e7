/** One corner of the square: weights, and who may join a batch that runs. */
export interface Variant {
  readonly name: string;
  readonly weights: 'int8' | 'f16';
  readonly batching: 'continuous' | 'static';
}

/** The last one is what the others are measured against. */
export const variants: readonly Variant[] = (['int8', 'f16'] as const).flatMap((weights) =>
  (['continuous', 'static'] as const).map((batching) => ({ name: `${weights} + ${batching}`, weights, batching })),
);

/** Most memory for keys and values, in every variant: otherwise what is kept for later prompts would hide what the load needs. */
export const kvCacheBytes = 256 * 2 ** 20;

/** Sequences of a full batch, in every variant. */
export const batchSize = 32;

/** A server's configuration file: YAML, of which JSON is a part. Everything that is not of the variant is the same in all. */
export function configOf({ weights, batching }: Variant): string {
  return JSON.stringify({
    model_config: {
      quantization: weights === 'f16' ? 'none' : 'int8',
      enable_continuous_batching: batching === 'continuous',
      max_batch_size: batchSize,
      kv_cache_bytes: kvCacheBytes,
      // Nobody is refused: a server beyond its capacity shows it by its latencies.
      max_queue: 100_000,
    },
    // Nor does anybody overtake, or take a place from another: the short would share their batches, and static ones hardly wait for their
    // longest answer.
    admission: { policy: 'fcfs', max_wait_ms: 86_400_000 },
  });
}
