import Type, { type Static } from 'typebox';
import { admissionSchema, defaultAdmission } from './admission.ts';
import { authSchema, defaultAuth } from './auth.ts';
import { cacheSchema, defaultCache } from './cache.ts';
import { corsSchema, defaultCors } from './cors.ts';
import { defaultDevices, devicesSchema } from './devices.ts';
import { batchesSchema, defaultBatches } from './batches.ts';
import { defaultEmbedded, type EngineConfig } from './engines.ts';
import { compressionSchema, defaultCompression } from './compression.ts';
import { defaultDocuments, documentsSchema } from './documents.ts';
import { defaultFit, fitSchema } from './fit.ts';
import { defaultInput, inputSchema } from './input.ts';
import { defaultLimits, limitsSchema } from './limits.ts';
import { defaultPrejudge, prejudgeSchema } from './prejudge.ts';
import { defaultRouter, routerSchema } from './router.ts';
import { defaultEvents, eventsSchema } from './events.ts';
import { defaultGrpc, grpcSchema } from './grpc.ts';
import { defaultSessions, sessionsSchema } from './sessions.ts';
import { defaultTiers, tiersSchema } from './tiers.ts';

const closed = { additionalProperties: false } as const;
const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });

export const collectorAddress = 'an address such as http://127.0.0.1:4318; what it asks for to let you in goes into headers';

/** The configuration file. Every key has a default, and every key does something. */
export const configSchema = Type.Object(
  {
    server: Type.Object(
      {
        host: Type.String({ minLength: 1 }),
        port,
        /** Larger bodies are refused with 413. */
        body_limit_bytes: Type.Integer({ minimum: 1024, maximum: 1_073_741_824 }),
        /** How long running answers may go on after a SIGTERM. */
        drain_timeout_ms: milliseconds,
        /** How long a request waits for a model that is still loading. */
        ready_timeout_ms: milliseconds,
        cors: corsSchema,
      },
      closed,
    ),
    model_config: Type.Object(
      {
        /** `default`, `tinyllama`, another name that `autoglm models` lists, a GGUF file, or a Hugging Face folder. */
        path: Type.String({ minLength: 1 }),
        /** What the weights become when the model is loaded; without it a GGUF stays as it is, and other models become int8. */
        quantization: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('int8'), Type.Literal('int4')])),
        enable_continuous_batching: Type.Boolean(),
        max_batch_size: Type.Integer({ minimum: 1, maximum: 256 }),
        /** `paged` shares what prompts of a tenant have in common; `static` gives each sequence a slot of its own. */
        kv_cache_strategy: Type.Union([Type.Literal('paged'), Type.Literal('static')]),
        /** Keys and values as they are, or in 8 bits with a scale for each 32: half the memory, slightly other answers. */
        kv_cache_type: Type.Union([Type.Literal('f16'), Type.Literal('q8_0')]),
        /** Most memory for keys and values of `paged`; a quarter of what is available when not given. */
        kv_cache_bytes: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
        /** Tenants can then find out by the time of an answer what others have asked. */
        kv_cache_shared_between_tenants: Type.Boolean(),
        /**
         * `prompt_lookup`: what repeats the prompt or the answer so far is drafted and verified, several tokens a step. Changes no answer.
         * `auto`: with models whose steps take long.
         */
        speculation: Type.Union([Type.Literal('auto'), Type.Literal('prompt_lookup'), Type.Literal('none')]),
        context_length: Type.Integer({ minimum: 64, maximum: 1_048_576 }),
        /**
         * What gives way to new tokens when a context is full; nothing when not given: prompts that do not fit are refused, answers end.
         */
        context_strategy: Type.Optional(
          Type.Object(
            {
              kind: Type.Union([Type.Literal('window'), Type.Literal('attention')]),
              sinks: Type.Optional(Type.Integer({ minimum: 0 })),
              window: Type.Optional(Type.Integer({ minimum: 256 })),
            },
            closed,
          ),
        ),
        /** Of ggml; all cores when not given. */
        threads: Type.Optional(Type.Integer({ minimum: 1, maximum: 512 })),
        step_token_budget: Type.Integer({ minimum: 64, maximum: 65_536 }),
        max_queue: Type.Integer({ minimum: 1, maximum: 100_000 }),
        /** How long text may wait for more before it is sent; the first token and the end never wait. 0 sends every token by itself. */
        stream_interval_ms: Type.Integer({ minimum: 0, maximum: 1000 }),
      },
      closed,
    ),
    /** A model for `/v1/embeddings` that runs here; without `model` there is none. */
    embeddings: Type.Object(
      {
        /** `bge-small-zh` for Chinese, `minilm` for English, or a GGUF file of llama.cpp's architecture `bert`: bge, MiniLM, e5. */
        model: Type.Optional(Type.String({ minLength: 1 })),
        /** The name under which clients ask for it; the model's, or the file's without its ending, when not given. */
        name: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
        /** Of ggml, beside those that generate. */
        threads: Type.Integer({ minimum: 1, maximum: 512 }),
        /** Texts of each lane that may wait; more are refused with 429. */
        max_queue: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
      },
      closed,
    ),
    /** Who answers; each by the schema of its `kind`. Without any, and wherever the file has `model_config`, the embedded one is there. */
    engines: Type.Array(Type.Unknown(), { maxItems: 1024 }),
    router: routerSchema,
    tiers: tiersSchema,
    devices: devicesSchema,
    fit: fitSchema,
    compression: compressionSchema,
    documents: documentsSchema,
    sessions: sessionsSchema,
    events: eventsSchema,
    grpc: grpcSchema,
    admission: admissionSchema,
    auth: authSchema,
    batches: batchesSchema,
    limits: limitsSchema,
    cache: cacheSchema,
    prejudge: prejudgeSchema,
    input: inputSchema,
    observability: Type.Object(
      {
        /** `/metrics`, in Prometheus' text format. */
        metrics: Type.Object({ enabled: Type.Boolean() }, closed),
        /** Baselines of every segment, and the name of what made a request slow. */
        diagnosis: Type.Object({ enabled: Type.Boolean() }, closed),
        /** Lines of JSON: one for each request, engine states, warnings. */
        logs: Type.Object(
          {
            enabled: Type.Boolean(),
            /** Requests are `info`, those at which the server failed `warn`. */
            level: Type.Union([Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
            /** stdout, stderr, or a file to append to. */
            destination: Type.String({ minLength: 1 }),
            /** `auto` is for people on a terminal, and JSON elsewhere. */
            format: Type.Union([Type.Literal('auto'), Type.Literal('json'), Type.Literal('pretty')]),
            /** Writes prompts and answers, cut to 16 Ki characters each. */
            capture_content: Type.Boolean(),
          },
          closed,
        ),
        /** Spans to an OpenTelemetry collector, as OTLP over HTTP. */
        traces: Type.Object(
          {
            enabled: Type.Boolean(),
            /** The collector's base, or the whole address of its traces route. */
            endpoint: Type.String({ pattern: '^https?://[^\\s@]+$', title: collectorAddress }),
            headers: Type.Record(Type.String(), Type.String({ minLength: 1 })),
            /** Of requests that come without a trace; one that comes with a trace follows it. */
            sample_ratio: Type.Number({ minimum: 0, maximum: 1 }),
            service_name: Type.String({ minLength: 1, maxLength: 255 }),
            /** Records prompts and answers, cut to 16 Ki characters each. */
            capture_content: Type.Boolean(),
          },
          closed,
        ),
      },
      closed,
    ),
  },
  closed,
);

export type Config = Omit<Static<typeof configSchema>, 'engines'> & { readonly engines: readonly EngineConfig[] };

export const defaultConfig: Config = {
  server: {
    host: '127.0.0.1',
    port: 8080,
    body_limit_bytes: 8 * 1024 * 1024,
    drain_timeout_ms: 30_000,
    ready_timeout_ms: 120_000,
    cors: defaultCors,
  },
  model_config: {
    path: 'default',
    enable_continuous_batching: true,
    max_batch_size: 32,
    speculation: 'auto',
    kv_cache_strategy: 'paged',
    kv_cache_type: 'f16',
    kv_cache_shared_between_tenants: false,
    context_length: 8192,
    step_token_budget: 256,
    max_queue: 256,
    stream_interval_ms: 20,
  },
  embeddings: { threads: 1, max_queue: 4096 },
  engines: [defaultEmbedded],
  router: defaultRouter,
  tiers: defaultTiers,
  devices: defaultDevices,
  fit: defaultFit,
  compression: defaultCompression,
  documents: defaultDocuments,
  sessions: defaultSessions,
  events: defaultEvents,
  grpc: defaultGrpc,
  admission: defaultAdmission,
  auth: defaultAuth,
  batches: defaultBatches,
  limits: defaultLimits,
  cache: defaultCache,
  prejudge: defaultPrejudge,
  input: defaultInput,
  observability: {
    metrics: { enabled: true },
    diagnosis: { enabled: true },
    logs: { enabled: false, level: 'info', destination: 'stderr', format: 'auto', capture_content: false },
    traces: {
      enabled: false,
      endpoint: 'http://127.0.0.1:4318',
      headers: {},
      sample_ratio: 1,
      service_name: 'open-autoglm',
      capture_content: false,
    },
  },
};
