import { readFileSync } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isObject } from '@open-autoglm/protocol';
import { ConfigError } from '../common/config-error.ts';
import { check, oneOf, parseYaml, place, written, type YamlSource } from '../common/yaml-source.ts';
import { problemOfCors } from './cors.ts';
import { problemOfDevices } from './devices.ts';
import { completeEngines, defaultEmbedded, engineSchemas, namesOf, type EngineConfig, type EngineKind } from './engines.ts';
import { checkCompression } from './compression.ts';
import { checkFit } from './fit.ts';
import { problemOfGrpc } from './grpc.ts';
import { redisAddress, sectionWithoutRedis } from './redis.ts';
import { collectorAddress, configSchema, defaultConfig, type Config } from './schema.ts';
import { problemOfSemantic } from './semantic.ts';
import { problemOfSessions } from './sessions.ts';
import { problemOfTiers } from './tiers.ts';

type Section = 'server' | 'model_config';
export type ConfigOverrides = { readonly [S in Section]?: Partial<Config[S]> } & {
  /** As `engines` in the file. */
  readonly engines?: readonly object[];
};

export interface LoadConfigOptions {
  /** A YAML file; `AUTOGLM_CONFIG` when not given. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the command line; they win. */
  readonly overrides?: ConfigOverrides;
}

/** Defaults, then the file, then the environment, then the command line. Throws `ConfigError`. */
export function loadConfig({ file, env, overrides = {} }: LoadConfigOptions): Config {
  const path = file ?? env['AUTOGLM_CONFIG'];
  const source = path ? readYaml(path) : undefined;
  const merged = [source?.value ?? {}, fromEnvironment(env), overrides].reduce(merge, defaultConfig as Record<string, unknown>) as Config;
  check(merged, configSchema, [], source);
  if (!merged.cache.enabled && asksForIntermediate(source?.value))
    throw new ConfigError(
      `${place(source, ['cache', 'intermediate', 'enabled'])}cache.intermediate.enabled is true, and nothing is kept while cache.enabled is not.`,
    );
  const hasModel = Object.hasOwn(source?.value ?? {}, 'model_config') || overrides.model_config?.path !== undefined;
  const config = { ...merged, engines: readEngines(overrides.engines ?? source?.value['engines'], hasModel, env, source) };
  refuseWhatIsMissing(config);
  refuseWhatCannotWork(config, source);
  const ofSemantic = problemOfSemantic(config.cache, config.embeddings.model);
  if (ofSemantic)
    throw new ConfigError(
      `${place(source, ['cache', 'semantic', ofSemantic.key]) || place(source, ['cache', 'semantic'])}cache.semantic.${ofSemantic.key} ${ofSemantic.reason}.`,
    );
  return config;
}

/** Without any entry the embedded engine answers alone; where a model is configured it is always among them. */
function readEngines(entries: unknown, hasModel: boolean, env: LoadConfigOptions['env'], source: YamlSource | undefined): EngineConfig[] {
  const list = (entries ?? []) as readonly unknown[];
  for (const [index, entry] of list.entries()) checkEngine(entry, ['engines', String(index)], source);
  const engines = completeEngines(list as Parameters<typeof completeEngines>[0], env, (index, key, reason) => {
    throw new ConfigError(
      `${place(source, ['engines', String(index), key]) || place(source, ['engines', String(index)])}engines[${index}].${key}: ${reason}.`,
    );
  });
  const isEmbedded = engines.some(({ kind }) => kind === 'embedded');
  return engines.length === 0 || (hasModel && !isEmbedded) ? [defaultEmbedded, ...engines] : engines;
}

function checkEngine(entry: unknown, path: readonly string[], source: YamlSource | undefined): void {
  const kinds = Object.keys(engineSchemas);
  const kind = isObject(entry) ? entry['kind'] : undefined;
  if (typeof kind !== 'string' || !kinds.includes(kind)) {
    throw new ConfigError(
      `${place(source, [...path, 'kind']) || place(source, path)}${written([...path, 'kind'])} must be ${oneOf(kinds)}.`,
    );
  }
  check(entry, engineSchemas[kind as EngineKind], path, source);
}

function readYaml(path: string): YamlSource {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`The configuration file ${path} cannot be read: ${(error as Error).message}`);
  }
  return parseYaml(path, text, 'model_config');
}

function fromEnvironment(env: LoadConfigOptions['env']): Record<string, unknown> {
  const port = wholeNumber(env, 'PORT', 0, 65_535);
  const threads = wholeNumber(env, 'AUTOGLM_THREADS', 1, 512);
  return {
    server: { ...(port !== undefined && { port }), ...(env['HOST'] && { host: env['HOST'] }) },
    model_config: { ...(threads !== undefined && { threads }) },
  };
}

function wholeNumber(env: LoadConfigOptions['env'], name: string, minimum: number, maximum: number): number | undefined {
  const text = env[name];
  if (!text) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  throw new ConfigError(`The environment variable ${name} must be an integer from ${minimum} to ${maximum}, not ${JSON.stringify(text)}.`);
}

/** The layer over the base, section by section. */
function merge(base: Record<string, unknown>, layer: object): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(layer)) {
    const below = base[key];
    // A section with nothing under it is null in YAML.
    if (value === undefined || (value === null && typeof below === 'object')) continue;
    merged[key] = isObject(below) && isObject(value) ? merge(below, value) : value;
  }
  return merged;
}

/** An option that would be accepted and ignored is worse than none. */
function refuseWhatIsMissing(config: Config): void {
  const missing: readonly (readonly [boolean, string])[] = [
    [
      config.embeddings.model === undefined && hasChanged(config.embeddings),
      'embeddings.model is missing: without it there is no model for embeddings, and nothing that its other keys could be of',
    ],
    [
      hasNoBound(config.model_config),
      'model_config.kv_cache_bytes bounds the paged KV cache only: a static one is as large as context_length and max_batch_size make it',
    ],
    [
      sharesNothing(config.model_config),
      'model_config.kv_cache_shared_between_tenants is true, and a static KV cache shares nothing: kv_cache_strategy must be paged',
    ],
    [
      isKeptNowhere(config.batches),
      'batches.sqlite_path and batches.postgres_url_env are missing: without one of them there are no batches, and nothing that its other keys could be of',
    ],
  ];
  const found = missing.find(([isAsked]) => isAsked);
  if (found) throw new ConfigError(`${found[1]}.`);
}

function hasChanged(embeddings: Config['embeddings']): boolean {
  const { name, threads, max_queue: maxQueue } = embeddings;
  return name !== undefined || threads !== defaultConfig.embeddings.threads || maxQueue !== defaultConfig.embeddings.max_queue;
}

function hasNoBound({ kv_cache_bytes: bytes, kv_cache_strategy: strategy }: Config['model_config']): boolean {
  return bytes !== undefined && strategy === 'static';
}

function sharesNothing({ kv_cache_shared_between_tenants: isShared, kv_cache_strategy: strategy }: Config['model_config']): boolean {
  return isShared && strategy === 'static';
}

function isKeptNowhere({ sqlite_path: path, postgres_url_env: variable, ...others }: Config['batches']): boolean {
  return (
    path === undefined &&
    variable === undefined &&
    Object.entries(others).some(([key, value]) => value !== defaultConfig.batches[key as keyof Config['batches']])
  );
}

/** Values that each are of the right type, and would be passed over or fail with every use. */
function refuseWhatCannotWork(config: Config, source: YamlSource | undefined): void {
  const {
    cache,
    devices,
    fit,
    input,
    compression,
    engines,
    embeddings,
    router: { balance, health },
    admission: { concurrency },
    server,
    sessions,
    tiers,
    grpc,
    observability: { traces },
  } = config;
  const refuse = (path: readonly string[], reason: string) => {
    throw new ConfigError(`${place(source, path)}${written(path)} ${reason}.`);
  };
  if (health.eject_max_ms < health.eject_ms)
    refuse(['router', 'health', 'eject_max_ms'], `is ${health.eject_max_ms}, and must not be less than eject_ms: ${health.eject_ms}`);
  if (concurrency.adaptive && concurrency.initial < concurrency.min)
    refuse(['admission', 'concurrency', 'initial'], `is ${concurrency.initial}, and must not be less than min: ${concurrency.min}`);
  if (cache.prefetch.enabled && !cache.enabled)
    refuse(['cache', 'prefetch', 'enabled'], 'is true, and nothing is kept while cache.enabled is not');
  const named = engines.find(({ model }) => model === embeddings.name);
  if (named)
    refuse(['embeddings', 'name'], `is ${JSON.stringify(embeddings.name)}, which is the model of the engine ${named.name} already`);
  const namesOfAll = (those: readonly EngineConfig[]) => [...new Set(those.flatMap((engine) => namesOf(engine, engines)))];
  // What runs here says itself how much it reads, and counts its own tokens.
  const others = namesOfAll(engines.filter(({ kind }) => kind === 'openai'));
  for (const [path, byModel, owner, models] of [
    [['fit', 'models'], fit.models, 'other server', others],
    [['input', 'images', 'models'], input.images.models, 'engine', namesOfAll(engines)],
  ] as const) {
    const unknown = Object.keys(byModel).find((name) => !models.includes(name));
    const known = models.length > 0 ? `; known models: ${models.join(', ')}` : '';
    if (unknown !== undefined) refuse([...path, unknown], `is of a model that no ${owner} has${known}`);
  }
  checkFit(fit, refuse);
  checkCompression(compression, refuse);
  const ofRedis = sectionWithoutRedis(config);
  if (ofRedis) refuse([ofRedis, 'redis_url'], redisAddress);
  const ofCors = problemOfCors(server.cors);
  if (ofCors) refuse(['server', 'cors', 'origins', String(ofCors.index)], ofCors.reason);
  const ofSessions = problemOfSessions(sessions);
  if (ofSessions) refuse(['sessions', ofSessions.key], ofSessions.reason);
  const ofDevices = problemOfDevices(devices, engines);
  if (ofDevices) refuse(['devices', 'enabled'], ofDevices);
  if (balance === 'devices' && !devices.enabled)
    refuse(['router', 'balance'], 'is devices, and devices.enabled is not true: nothing would be known of any device');
  const ofTiers = problemOfTiers(tiers, engines);
  if (ofTiers) refuse(['tiers', ...ofTiers.path], ofTiers.reason);
  const ofGrpc = problemOfGrpc(grpc);
  if (ofGrpc) refuse(['grpc', ofGrpc.key], ofGrpc.reason);
  if (!URL.canParse(traces.endpoint)) refuse(['observability', 'traces', 'endpoint'], `must be ${collectorAddress}`);
  for (const [name, value] of Object.entries(traces.headers)) {
    if (!isHeader(name, value))
      refuse(
        ['observability', 'traces', 'headers', name],
        'is not an HTTP header: its name or its value has a character that none may have',
      );
  }
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

/** It is on by default, with the cache: only who wrote it asks for it. */
function asksForIntermediate(value: unknown): boolean {
  const asked = ['cache', 'intermediate', 'enabled'].reduce<unknown>((below, key) => (isObject(below) ? below[key] : undefined), value);
  return asked === true;
}
