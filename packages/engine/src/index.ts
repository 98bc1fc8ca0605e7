import { homedir } from 'node:os';
import path from 'node:path';
import type { ContextStrategy } from '@open-autoglm/protocol';
import type { KvCacheOptions } from './kv-cache/open-kv-cache.ts';
import type { Quantization } from './models/prepare-options.ts';
import { defaultSharing, type SharingLimits } from './scheduler/standing.ts';
import type { Speculation } from './speculation/learn-step-costs.ts';
import { EmbeddedEmbeddings, type EmbeddingSupervision } from './process/embedded-embeddings.ts';
import { EmbeddedEngine, type SupervisionOptions } from './process/embedded-engine.ts';
import { usableThreads } from './usable-threads.ts';

export { EmbeddedEngine, type EmbeddedEngineStatus } from './process/embedded-engine.ts';
export { EmbeddedEmbeddings } from './process/embedded-embeddings.ts';

export interface EmbeddedEngineOptions extends SupervisionOptions {
  /** The name of a model, such as `default`, or the path of a GGUF file. */
  readonly model: string;
  /** What the weights become; as the model has them when not given, and int8 for the default model. */
  readonly quantization?: Quantization | undefined;
  /** ggml threads; as many as cores when not given. */
  readonly threads?: number | undefined;
  /** Tokens that one sequence may hold; 8,192 when not given, and never more than the model was trained for. */
  readonly contextLength?: number | undefined;
  readonly maxBatchSize: number;
  readonly stepTokenBudget: number;
  readonly maxQueue: number;
  readonly continuousBatching: boolean;
  /** Drafts by prompt lookup, verified where that pays: no answer changes. `auto` when not given. */
  readonly speculation?: Speculation | undefined;
  /** What gives way to new tokens when a context is full, for requests that name nothing; nothing when not given. */
  readonly contextStrategy?: ContextStrategy | undefined;
  /** How requests in real time and in batches share the engine; by preemption, and a tenth for batches, when not given. */
  readonly sharing?: SharingLimits | undefined;
  /** Paged, in f16 and with scopes kept apart when not given. */
  readonly kvCache?: KvCacheOptions | undefined;
  /**
   * Text may wait this long for more, in milliseconds, so that fast generation costs fewer messages; 0, when not given, sends every token
   * at once.
   */
  readonly streamIntervalMs?: number | undefined;
  /** Folder of converted models; `defaultHome()` when not given. */
  readonly home?: string | undefined;
}

const defaultContextLength = 8192;

/** Starts the engine process and returns at once; `ready()` tells when it can answer. */
export function startEmbeddedEngine(options: EmbeddedEngineOptions): EmbeddedEngine {
  const { model, maxBatchSize, stepTokenBudget, maxQueue, continuousBatching, onStatus, stallTimeoutMs } = options;
  const processOptions = {
    model,
    maxBatchSize,
    stepTokenBudget,
    maxQueue,
    continuousBatching,
    speculation: options.speculation ?? 'auto',
    contextStrategy: options.contextStrategy,
    sharing: options.sharing,
    kvCache: options.kvCache ?? { strategy: 'paged', type: 'f16' },
    streamIntervalMs: options.streamIntervalMs ?? 0,
    threads: usableThreads(options.threads),
    contextLength: options.contextLength ?? defaultContextLength,
    home: options.home ?? defaultHome(),
    quantization: options.quantization,
  };
  return new EmbeddedEngine(processOptions, { ...(onStatus && { onStatus }), ...(stallTimeoutMs && { stallTimeoutMs }) });
}

/** Where converted models are kept: `AUTOGLM_HOME`, or the user's cache folder as the XDG base directory specification says. */
export function defaultHome(env: NodeJS.ProcessEnv = process.env): string {
  const cache = env['XDG_CACHE_HOME'] ?? '';
  // The specification wants relative paths ignored.
  return env['AUTOGLM_HOME'] || path.join(path.isAbsolute(cache) ? cache : path.join(homedir(), '.cache'), 'open-autoglm');
}

export interface EmbeddingEngineOptions extends EmbeddingSupervision {
  /** The name of a model, such as `bge-small-zh`, or the path of a GGUF file. */
  readonly model: string;
  /** The name that clients use. */
  readonly id: string;
  /** ggml threads; one when not given. */
  readonly threads?: number | undefined;
  /** Texts of each lane that may wait. */
  readonly maxQueue: number;
  /** Of what is encoded while both lanes want some, the batch lane's share at least; a tenth when not given. */
  readonly batchShareMin?: number | undefined;
  /** Folder of converted models; `defaultHome()` when not given. */
  readonly home?: string | undefined;
}

/** Starts the embedding process and returns at once; `ready()` tells when it can answer. */
export function startEmbeddingEngine({
  model,
  id,
  threads = 1,
  maxQueue,
  batchShareMin = defaultSharing.batchShareMin,
  home = defaultHome(),
  ...supervision
}: EmbeddingEngineOptions): EmbeddedEmbeddings {
  return new EmbeddedEmbeddings({ model, id, threads: usableThreads(threads), maxQueue, batchShareMin, home }, supervision);
}
