import Type, { type Static, type TSchema } from 'typebox';

const closed = { additionalProperties: false } as const;
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });
/** Sent in a header. */
const name = Type.String({ minLength: 1, maxLength: 128, pattern: '^[\\w.:/@\\[\\]+-]+$' });
const model = Type.String({ minLength: 1, maxLength: 512 });

/** What every entry of `engines` may say of its place among the others. */
const place = {
  /** In `x-autoglm-engine` and in metrics; each engine has its own. */
  name: Type.Optional(name),
  /** Level of quality; in `x-autoglm-tier`. */
  tier: Type.Optional(Type.Union([Type.Literal('edge'), Type.Literal('region'), Type.Literal('cloud')])),
  /** Its share of the work, relative to the model's other engines. */
  weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 10_000 })),
  /** The device that it runs on, which reports to `/v1/devices/{id}/heartbeat`: while that is silent, nothing is sent to it. */
  device: Type.Optional(Type.String({ pattern: '^[\\w.:-]{1,128}$' })),
  /** More requests than this at once are not sent to it. */
  max_outstanding: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
};

/** By `kind`. */
export const engineSchemas = {
  /** Any server that speaks OpenAI's API: vLLM, SGLang, llama.cpp, Ollama, a vendor's. */
  openai: Type.Object(
    {
      kind: Type.Literal('openai'),
      ...place,
      /** As OpenAI's clients take it: `http://vllm-0:8000/v1`. */
      url: Type.String({ minLength: 1, maxLength: 2048 }),
      /** The name under which clients ask for it. */
      model,
      /** Its name there, where that is another one. */
      upstream_model: Type.Optional(model),
      /** The environment variable that holds the key; a key has no place in a file. */
      api_key_env: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
      /** Where it classifies texts, on the server's own root: `/classify` of vLLM, `/v1/classify` of SGLang; absent: it does not. */
      classify_path: Type.Optional(Type.String({ pattern: '^/[\\w./~-]{1,255}$', title: 'a path such as /classify' })),
      /**
       * Texts of one request for embeddings or classes to it, into which those of several clients are joined while it works; absent: each
       * goes as it came.
       */
      max_batch_size: Type.Optional(Type.Integer({ minimum: 2, maximum: 2048 })),
      /** How long a text may wait for others while it works, in microseconds; when it does nothing, nobody waits. */
      batch_timeout_us: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
      /**
       * Text completions of the batch lane, not streamed, that agree in all but their prompts, are joined too, as `prompt` lists of at most
       * `max_batch_size`.
       */
      join_completions: Type.Optional(Type.Boolean()),
      timeouts: Type.Optional(
        Type.Object(
          {
            /** For the connection. */
            connect_ms: Type.Optional(milliseconds),
            /** From the request to the head of the answer; of an answer that is not streamed, that is all of its time. */
            headers_ms: Type.Optional(milliseconds),
            /** Between two pieces of an answer. */
            idle_ms: Type.Optional(milliseconds),
          },
          closed,
        ),
      ),
    },
    closed,
  ),
  /** The model of `model_config`, also under another name, beside remote engines of that name. */
  embedded: Type.Object({ kind: Type.Literal('embedded'), ...place, model: Type.Optional(model) }, closed),
  /** Says the same few tokens to everybody: for trying clients and configurations. */
  mock: Type.Object({ kind: Type.Literal('mock'), ...place, model }, closed),
} as const satisfies Record<string, TSchema>;

export type EngineKind = keyof typeof engineSchemas;

type Complete<T> = { readonly [K in keyof T]-?: T[K] };
type Place = 'name' | 'tier' | 'weight' | 'max_outstanding';
type OpenAiEntry = Static<typeof engineSchemas.openai>;
type EmbeddedEntry = Static<typeof engineSchemas.embedded>;
type MockEntry = Static<typeof engineSchemas.mock>;

interface OnDevice {
  readonly device?: string | undefined;
}

export interface OpenAiEngineConfig extends OnDevice, Complete<Pick<OpenAiEntry, Place | 'kind' | 'url' | 'model' | 'upstream_model'>> {
  readonly api_key_env: string | undefined;
  /** Absent: it does not classify. */
  readonly classify_path: string | undefined;
  /** Absent: requests for embeddings and classes are not joined. */
  readonly max_batch_size: number | undefined;
  readonly batch_timeout_us: number;
  readonly join_completions: boolean;
  readonly timeouts: Complete<NonNullable<OpenAiEntry['timeouts']>>;
}
export interface EmbeddedEngineConfig extends OnDevice, Complete<Pick<EmbeddedEntry, 'kind' | 'name' | 'tier' | 'weight' | 'model'>> {
  /** Absent: as many as it takes in, running and waiting. */
  readonly max_outstanding: number | undefined;
}
export interface MockEngineConfig extends OnDevice, Complete<Omit<MockEntry, 'device'>> {}
export type EngineConfig = OpenAiEngineConfig | EmbeddedEngineConfig | MockEngineConfig;

export const defaultEmbedded: EmbeddedEngineConfig = {
  kind: 'embedded',
  name: 'embedded',
  tier: 'edge',
  weight: 1,
  max_outstanding: undefined,
  model: 'default',
};

/**
 * The names under which an engine is asked for. `default` is the embedded model: the one here, and where there is none, the one that
 * another gateway has under that name, as long as all such servers have the same.
 */
export function namesOf(engine: EngineConfig, engines: readonly EngineConfig[]): string[] {
  const { kind, model } = engine;
  const isDefault =
    kind === 'embedded' ||
    (isDefaultThere(engine) && engines.every((other) => other.kind !== 'embedded' && (other.model === model || !isDefaultThere(other))));
  return isDefault ? [...new Set(['default', model])] : [model];
}

function isDefaultThere(engine: EngineConfig): boolean {
  return engine.kind === 'openai' && engine.upstream_model === 'default';
}

/** A thinking model may say nothing for minutes; a connection is there at once or never. */
const defaultTimeouts = { connect_ms: 2000, headers_ms: 300_000, idle_ms: 120_000 };

/** Told which entry, which of its keys, and what is wrong; does not return. */
export type Refuse = (index: number, key: string, reason: string) => never;

/** Completes checked entries, and refuses what no schema can see. */
export function completeEngines(
  entries: readonly (OpenAiEntry | EmbeddedEntry | MockEntry)[],
  env: Readonly<Record<string, string | undefined>>,
  refuse: Refuse,
): EngineConfig[] {
  const engines: EngineConfig[] = [];
  for (const [index, entry] of entries.entries()) {
    const refuseKey = (key: string, reason: string) => refuse(index, key, reason);
    const engine = entry.kind === 'openai' ? completeOpenAi(entry, engines, env, refuseKey) : completeLocal(entry, engines);
    if (engines.some(({ name: taken }) => taken === engine.name))
      refuseKey('name', `the name ${JSON.stringify(engine.name)} is taken by another engine`);
    if (entry.kind === 'embedded' && engines.some(({ kind }) => kind === 'embedded'))
      refuseKey('kind', 'there is one embedded engine already');
    if (entry.kind !== 'embedded' && entry.model === 'default')
      refuseKey('model', 'default is the name of the embedded model; choose another');
    engines.push(engine);
  }
  return engines;
}

function completeOpenAi(
  entry: OpenAiEntry,
  before: readonly EngineConfig[],
  env: Readonly<Record<string, string | undefined>>,
  refuse: (key: string, reason: string) => never,
): OpenAiEngineConfig {
  const url = parseUrl(entry.url);
  if (typeof url === 'string') return refuse('url', url);
  if (entry.batch_timeout_us !== undefined && entry.max_batch_size === undefined)
    refuse('batch_timeout_us', 'without max_batch_size nothing is joined, and nobody waits');
  if (entry.join_completions && entry.max_batch_size === undefined) refuse('join_completions', 'without max_batch_size nothing is joined');
  const { api_key_env: apiKeyEnv } = entry;
  const apiKey = apiKeyEnv === undefined ? undefined : env[apiKeyEnv];
  if (apiKeyEnv !== undefined && !apiKey) refuse('api_key_env', `the environment variable ${apiKeyEnv} is not set`);
  // A key that was read from a file often ends in a line break, and every request would fail of it.
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey))
    refuse('api_key_env', `the environment variable ${apiKeyEnv} holds a space, a line break or another character that no key has`);
  return {
    kind: 'openai',
    name: entry.name ?? freeName(url.host, before),
    tier: entry.tier ?? 'cloud',
    weight: entry.weight ?? 1,
    max_outstanding: entry.max_outstanding ?? 1024,
    url: entry.url,
    model: entry.model,
    upstream_model: entry.upstream_model ?? entry.model,
    api_key_env: apiKeyEnv,
    classify_path: entry.classify_path,
    max_batch_size: entry.max_batch_size,
    batch_timeout_us: entry.batch_timeout_us ?? 2000,
    join_completions: entry.join_completions ?? false,
    timeouts: { ...defaultTimeouts, ...entry.timeouts },
    ...(entry.device !== undefined && { device: entry.device }),
  };
}

function completeLocal(entry: EmbeddedEntry | MockEntry, before: readonly EngineConfig[]): EngineConfig {
  const common = {
    name: entry.name ?? freeName(entry.kind, before),
    tier: entry.tier ?? 'edge',
    weight: entry.weight ?? 1,
    ...(entry.device !== undefined && { device: entry.device }),
  } as const;
  if (entry.kind === 'mock') return { kind: 'mock', ...common, max_outstanding: entry.max_outstanding ?? 1024, model: entry.model };
  return { kind: 'embedded', ...common, max_outstanding: entry.max_outstanding, model: entry.model ?? 'default' };
}

/** The URL, or what is wrong with it. */
function parseUrl(text: string): URL | string {
  const url = URL.parse(text);
  if (!url) return `${JSON.stringify(text)} is not a URL; it looks like http://127.0.0.1:8000/v1`;
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `${JSON.stringify(text)} must begin with http:// or https://`;
  if (url.username !== '' || url.password !== '') return 'a password does not belong in a URL; use api_key_env';
  if (url.search !== '' || url.hash !== '') return `${JSON.stringify(text)} must end with its path`;
  return url;
}

/** Several models of one server are as many engines. */
function freeName(wanted: string, taken: readonly EngineConfig[]): string {
  const isTaken = (candidate: string) => taken.some((engine) => engine.name === candidate);
  let candidate = wanted;
  for (let count = 2; isTaken(candidate); count += 1) candidate = `${wanted}-${count}`;
  return candidate;
}
