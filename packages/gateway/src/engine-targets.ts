import path from 'node:path';
import type { EmbeddingEngine, Engine, Replica } from '@open-autoglm/protocol';
import type { LocalEmbeddings } from './common/embedding-catalog.ts';
import type { DevicePlace } from './common/device-registry.ts';
import type { CatalogModel, Target } from './common/model-catalog.ts';
import { namesOf, type EmbeddedEngineConfig, type EngineConfig, type OpenAiEngineConfig } from './config/engines.ts';
import type { Config } from './config/schema.ts';
import { embeddedEngine, embeddingEngine } from './engines/embedded/index.ts';
import { createMockEngine } from './engines/mock/mock-engine.ts';
import { promptReplica } from './engines/prompt-replica.ts';

/** An engine's state as it changes; `progress` is 0 … 1 while a model is being prepared. */
export interface EngineStatusReport {
  /** Absent for the embedded engine. */
  readonly engine?: string;
  readonly state: string;
  readonly detail: string;
  readonly progress?: number;
}

export interface StartEnginesOptions {
  /** In the place of the embedded engine. */
  readonly engine: Engine | undefined;
  /** In the place of the one that makes embeddings here. */
  readonly embeddings: EmbeddingEngine | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onStatus: (status: EngineStatusReport) => void;
  /** The device that an engine runs on, where devices report. */
  readonly placeOf?: ((engine: EngineConfig) => DevicePlace | undefined) | undefined;
}

export interface StartedEngines {
  /** Who answers for which model. */
  readonly models: readonly CatalogModel[];
  readonly embedded: Engine | undefined;
  readonly embeddings: LocalEmbeddings | undefined;
  /** Requests that all of them together take in, running and waiting. */
  readonly maxRunning: number;
  close(): Promise<void>;
}

/** What one entry of the configuration has become. */
interface Started {
  readonly replica: Replica;
  readonly target: Target;
  /** The names under which it is asked for. */
  readonly models: readonly string[];
  readonly engine: Engine | undefined;
}

/** Starts every engine of the configuration. Those of the same model name are replicas of each other. */
export async function startEngines(config: Config, options: StartEnginesOptions): Promise<StartedEngines> {
  const embeddings = startEmbeddings(config, options);
  const started = await Promise.all(config.engines.map((entry) => start(entry, config, options)));
  const models = new Map<string, Target[]>();
  for (const { target, models: names } of started) {
    for (const name of names) models.set(name, [...(models.get(name) ?? []), target]);
  }
  return {
    models: [...models].map(([name, targets]) => ({ name, targets })),
    embedded: started[config.engines.findIndex(({ kind }) => kind === 'embedded')]?.engine,
    embeddings,
    maxRunning: started.reduce((sum, { target }) => sum + inHandOf(target, config), embeddings ? 2 * config.embeddings.max_queue : 0),
    close: async () => void (await Promise.all([embeddings?.engine.close(), ...started.map(({ replica }) => replica.close())])),
  };
}

/** Both lanes may fill their queues. */
function inHandOf({ maxOutstanding, concurrency }: Target, { admission }: Config): number {
  return concurrency === undefined ? maxOutstanding + 2 * admission.max_queue : 2 * maxOutstanding;
}

async function start(entry: EngineConfig, config: Config, options: StartEnginesOptions): Promise<Started> {
  if (entry.kind === 'embedded') return startEmbedded(entry, config, options);
  const engine = entry.kind === 'mock' ? createMockEngine() : undefined;
  const replica = entry.kind === 'mock' ? promptReplica(engine as Engine, entry.name) : await startRemote(entry, config, options);
  return {
    replica,
    target: {
      replica,
      tier: entry.tier,
      weight: entry.weight,
      maxOutstanding: entry.max_outstanding,
      variant: variantOf(entry),
      device: options.placeOf?.(entry),
    },
    models: namesOf(entry, config.engines),
    engine,
  };
}

/** What decides an engine's answers beside its model; how fast they come does not. */
function variantOf(entry: EngineConfig, model?: Config['model_config']): string {
  if (entry.kind === 'openai') return JSON.stringify(['openai', entry.url, entry.upstream_model]);
  return JSON.stringify([entry.kind, model?.kv_cache_type, model?.context_strategy]);
}

function startEmbedded(
  entry: EmbeddedEngineConfig,
  { model_config: model, admission, engines }: Config,
  { engine: given, onStatus, placeOf }: StartEnginesOptions,
): Started {
  const engine = given ?? embeddedEngine(model, admission, onStatus);
  const replica = promptReplica(engine, given?.name ?? entry.name);
  const maxOutstanding = entry.max_outstanding ?? model.max_batch_size + model.max_queue;
  // Where a batch runs to its end, all of the next one must be there before it.
  const concurrency = model.enable_continuous_batching ? model.max_batch_size : 2 * model.max_batch_size;
  return {
    replica,
    target: {
      replica,
      tier: entry.tier,
      weight: entry.weight,
      maxOutstanding,
      concurrency,
      variant: variantOf(entry, model),
      device: placeOf?.(entry),
    },
    models: namesOf(entry, engines),
    engine,
  };
}

function startEmbeddings(
  { embeddings: config, admission }: Config,
  { embeddings: given, onStatus }: StartEnginesOptions,
): LocalEmbeddings | undefined {
  const { model, name } = config;
  if (given) return { name: name ?? given.name, engine: given, tier: 'edge' };
  if (model === undefined) return undefined;
  const id = name ?? path.basename(model, '.gguf');
  // That it was closed is no news to who closed it. What is being prepared has a bar, which says itself what it is.
  const onOwnStatus = (status: EngineStatusReport) =>
    status.state !== 'closed' && onStatus(status.progress === undefined ? { engine: 'embeddings', ...status } : status);
  return { name: id, engine: embeddingEngine({ ...config, model, id }, admission, onOwnStatus), tier: 'edge' };
}

/** The client of other servers is loaded where there is one. */
async function startRemote(
  {
    name,
    url,
    upstream_model: model,
    api_key_env: apiKeyEnv,
    classify_path: classifyPath,
    max_batch_size: sizeMax,
    batch_timeout_us: timeoutUs,
    join_completions: joinsCompletions,
    timeouts,
  }: OpenAiEngineConfig,
  { admission, router: { health } }: Config,
  { env, onStatus }: StartEnginesOptions,
): Promise<Replica> {
  const { openAiReplica } = await import('./engines/openai-compatible/index.ts');
  const replica = openAiReplica({
    name,
    url,
    model,
    timeouts,
    classifyPath,
    joinsCompletions,
    batching: sizeMax === undefined ? undefined : { sizeMax, timeoutMs: timeoutUs / 1000, batchShareMin: admission.lanes.batch_share_min },
    apiKey: apiKeyEnv === undefined ? undefined : env[apiKeyEnv],
    probe: { intervalMs: health.probe_interval_ms, timeoutMs: health.probe_timeout_ms, failuresMax: health.probe_failures },
  });
  // That it was closed is no news to who closed it.
  replica.watch(({ state, detail }) => state !== 'closed' && onStatus({ engine: name, state, detail }));
  return replica;
}
