/** A histogram as counts. Element i of `counts` is of values up to `bounds[i]`; one more element holds what is above all bounds. */
export interface BucketCounts {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** What the system says of an engine's own process. Counters run since its start. */
export interface ProcessStats {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** How late its event loop got to a timer, in milliseconds, since the report before this one. */
  readonly loopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly gcCount: number;
  readonly gcSeconds: number;
}

/** Drafts that steps verified, of single sequences, and what they brought. */
export interface DraftCounts {
  readonly count: number;
  readonly tokens: number;
  readonly acceptedTokens: number;
}

/** An engine at work, as it last reported: gauges of that moment, and counters since its process started. */
export interface EngineStats {
  /** Sequences that hold a place in the batch. */
  readonly running: number;
  /** Sequences that wait for one. */
  readonly waiting: number;
  readonly kvUsedTokens: number;
  readonly kvCapacityTokens: number;
  /** Tokens of prompts that were read to their end; those found in the KV cache are part of them. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** Times that a sequence gave its place to another, or lost it for want of memory. */
  readonly suspensions?: number;
  /** Of speculative decoding; absent where it is off. */
  readonly drafts?: DraftCounts;
  /** Sequences in a step, those that read their prompts included. */
  readonly batchSize: BucketCounts;
  /** Between two tokens of a sequence; those that a step brought together share its time. */
  readonly interTokenMs: BucketCounts;
  /** Absent where the engine has no process of its own. */
  readonly process?: ProcessStats;
}
