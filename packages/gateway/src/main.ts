import type { AddressInfo } from 'node:net';
import type { EmbeddingEngine, Engine } from '@open-autoglm/protocol';
import { createAdmission } from './admission/admission-stage.ts';
import { admissionOptions } from './admission/options.ts';
import { openCache } from './cache-parts.ts';
import { createInputSteps } from './common/steps/input-steps.ts';
import { createClassificationCatalog } from './common/classification-catalog.ts';
import { createEmbeddingCatalog } from './common/embedding-catalog.ts';
import { withCascade } from './common/cascade-catalog.ts';
import { createCatalog } from './common/model-catalog.ts';
import { Opened } from './common/opened.ts';
import { TtftMeter } from './common/ttft-meter.ts';
import type { Config } from './config/schema.ts';
import { cascadeOptions, openRecorder, planCascade } from './cascade-plan.ts';
import { createClassificationPath } from './classification-path.ts';
import { openDevices } from './device-parts.ts';
import { createEmbeddingPath } from './embedding-path.ts';
import { createKeptEmbeddingPath } from './kept-embedding-path.ts';
import { openBatches } from './ingress/batches/open-batches.ts';
import { startEngines, type EngineStatusReport } from './engine-targets.ts';
import { openGrpc } from './ingress/grpc/open-grpc.ts';
import { openAccess } from './ingress/open-access.ts';
import { createBodyReading } from './ingress/body.ts';
import { Cors } from './ingress/cors.ts';
import { openImages } from './input/images/open-images.ts';
import { createCascadeRoutes } from './ingress/cascade-routes.ts';
import { createIngress, type Ingress } from './ingress/server.ts';
import { openEvents } from './ingress/events/open-events.ts';
import { openSessions } from './ingress/sessions/open-sessions.ts';
import { Notices } from './notices.ts';
import { createObservability } from './observability/observability.ts';
import { openSinks } from './observability/sinks/sinks.ts';
import { collectAnswer } from './output/json-answer.ts';
import { respond, respondError } from './output/respond.ts';
import { errorBody } from './output/error-body.ts';
import { respondClassifications } from './output/respond-classifications.ts';
import { respondEmbeddings, writeEmbeddings } from './output/respond-embeddings.ts';
import { openPrejudge } from './prejudge/open-prejudge.ts';
import { openPrefetch } from './prefetch-parts.ts';
import { createRequestPath } from './request-path.ts';
import type { RouterOptions } from './router/router-stage.ts';
import { createTiersStage } from './router/tiers/tiers-stage.ts';
import { openSemantic } from './semantic-parts.ts';
import { shortenOptions } from './shorten-options.ts';

export { ConfigError } from './common/config-error.ts';
export { loadConfig, type ConfigOverrides, type LoadConfigOptions } from './config/load.ts';
export { defaultConfig, type Config } from './config/schema.ts';
export type { EngineStatusReport } from './engine-targets.ts';
export { listModels } from './engines/openai-compatible/list-models.ts';
export { createMockEmbeddings, type MockEmbeddings, type MockEmbeddingsScript } from './engines/mock/mock-embeddings.ts';
export { createMockEngine, type MockEngine, type MockScript } from './engines/mock/mock-engine.ts';

export interface GatewayOptions {
  readonly config: Config;
  /** Another engine in the place of the embedded one; the gateway closes it in the end. */
  readonly engine?: Engine;
  /** In the place of the engine of `embeddings`, whether there would be one; the gateway closes it in the end. */
  readonly embeddings?: EmbeddingEngine;
  /** Where the keys of other servers are; this process's when not given. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly onEngineStatus?: (status: EngineStatusReport) => void;
  /**
   * Told, a sentence at a time, what whoever runs it should know: that Redis or a database cannot be reached, and what becomes of requests
   * meanwhile.
   */
  readonly onNotice?: (notice: string) => void;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Of what stands between tiers; undefined where it is off. */
  readonly grpcPort: number | undefined;
  /** The embedded engine, or what stands in its place; undefined when every engine is another server. */
  readonly engine: Engine | undefined;
  /** Refuses new requests, lets the running ones end within `drain_timeout_ms`, then closes everything. Idempotent. */
  drain(): Promise<void>;
}

/** Config → parts → listen. Accepts requests at once; they wait for the model. Rejects when it cannot listen. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const opened = new Opened();
  try {
    return await open(options, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(
  { config, engine, embeddings: givenEmbeddings, env = process.env, onEngineStatus = () => {}, onNotice = () => {} }: GatewayOptions,
  opened: Opened,
): Promise<Gateway> {
  const plan = planCascade(config);
  const notices = new Notices(onNotice);
  const access = opened.add(
    await openAccess({
      auth: config.auth,
      limits: config.limits,
      env,
      onRedis: notices.redisOf('limits.redis_url', 'each gateway holds its callers to the limits by itself'),
    }),
    (part) => part.close(),
  );
  const devices = opened.add(openDevices(config.devices, access, env), (part) => part.close());
  const engines = opened.add(
    await startEngines(config, { engine, embeddings: givenEmbeddings, env, onStatus: onEngineStatus, placeOf: devices?.placeOf }),
    (part) => part.close(),
  );
  const models = createCatalog(engines.models, config.server.ready_timeout_ms, {
    cascade: plan?.model,
    embeddings: engines.embeddings?.name,
  });
  const catalog = plan
    ? withCascade(
        models,
        plan.model,
        plan.levels.map(({ model }) => model),
      )
    : models;
  const embeddings = createEmbeddingCatalog(engines.embeddings, engines.models);
  const isModel = (name: string) => catalog.has(name) || embeddings.has(name);
  const sinks = opened.addToTheEnd(await openSinks(config.observability, { isModel, config, env }), (part) => part.close());
  notices.logTo(sinks.logs);
  const recorder = opened.add(
    openRecorder(config.tiers, (problem) =>
      problem === undefined
        ? sinks.logs?.info('outcomes of the cascade are recorded again', {})
        : sinks.logs?.warn('outcomes of the cascade are not recorded', { reason: problem }),
    ),
    (part) => part.close(),
  );
  const batches = opened.add(
    openBatches(config.batches, {
      access,
      keyCount: config.auth.keys.length,
      env,
      bodyLimitBytes: config.server.body_limit_bytes,
      writeAnswer: (asked) => collectAnswer(asked, asked.parts),
      writeEmbeddings,
      writeError: (error) => JSON.stringify(errorBody(error)),
      onFailure: notices.onBatchFailure,
      onFolderMade: notices.onBatchFolder,
    }),
    (part) => part.close(),
  );
  const cache = opened.add(
    await openCache(config.cache, catalog, notices.redisOf('cache.redis_url', 'answers are kept in memory alone')),
    (part) => part.close(),
  );
  const embeddingPath = createEmbeddingPath(embeddings, config.server.ready_timeout_ms, routerOptions(config.router));
  const keptEmbeddingPath = cache?.embeddings ? createKeptEmbeddingPath(embeddingPath, embeddings, cache.embeddings) : embeddingPath;
  const classifiers = createClassificationCatalog(engines.models);
  const semantic = cache && openSemantic(config.cache.semantic, cache.responses, embeddings, embeddingPath);
  if (semantic) cache.responses.watchWith(semantic);
  const prefetch = openPrefetch(config.cache, env);
  const prejudge = opened.add(await openPrejudge(config.prejudge, catalog, sinks.logs), (part) => part.close());
  const ttft = new TtftMeter();
  const steps = opened.add(createInputSteps(config.input), (part) => part.close());
  const images = opened.add(await openImages(config.input.images, steps, catalog), (part) => part.close());
  const admission = createAdmission(catalog, admissionOptions(config.admission));
  const events = opened.add(
    await openEvents(config.events, steps, notices.redisOf('events.redis_url', 'events are refused with 503')),
    (part) => part.close(),
  );
  const observability = opened.add(
    createObservability(config.observability, {
      sinks,
      onFirstToken: (model, ms) => ttft.observe(model, ms),
      eventTotals: events.totals,
      isModel,
      engines: () => catalog.readiness().replicas,
      admission: () => admission.read(),
      ...(batches.read && { batches: batches.read }),
      ...(semantic && { semantic: () => semantic.read() }),
      ...(prefetch && { prefetch: () => prefetch.prefetcher.counts }),
      ...(recorder && { outcomesDropped: () => recorder.dropped }),
      steps: () => steps.read(),
      cache: cache && (() => cache.read()),
      rules: prejudge && (() => prejudge.stats),
    }),
    (part) => part.close(),
  );
  sinks.logs?.watchEngines(() => catalog.readiness().replicas);
  const bodies = createBodyReading(steps, config.server.body_limit_bytes);
  const sessions = opened.add(
    await openSessions(config.sessions, bodies, notices.redisOf('sessions.redis_url', 'sessions are refused with 503')),
    (part) => part.close(),
  );
  const ingress = createIngress({
    catalog,
    access,
    documentTokensMax: config.documents.tokens_max,
    maxRunning: engines.maxRunning,
    bodies,
    uploadBytesMax: batches.read ? config.batches.file_bytes_max : 0,
    cors: config.server.cors.origins.length > 0 ? new Cors(config.server.cors) : undefined,
    path: sinks.capture(
      createRequestPath(catalog, admission, routerOptions(config.router), shortenOptions(config, ttft, embeddings, embeddingPath), {
        prejudge: prejudge?.stage,
        images: images?.stage,
        cache: cache?.stage,
        prefetch: prefetch?.prefetcher.stage,
        tiers: plan && createTiersStage(cascadeOptions(plan, models, recorder)),
      }),
    ),
    embeddings,
    embeddingPath: keptEmbeddingPath,
    classifiers,
    classificationPath: createClassificationPath(classifiers, embeddings, keptEmbeddingPath, routerOptions(config.router)),
    metrics: observability.metrics,
    resources: [
      ...batches.resources,
      ...sessions.resources,
      ...events.resources,
      ...(devices ? [devices.resource] : []),
      ...(recorder
        ? [
            createCascadeRoutes({
              access,
              bodyLimitBytes: config.server.body_limit_bytes,
              judge: (id, tenant, judgement) => recorder.judge(id, tenant, judgement),
            }),
          ]
        : []),
      ...(cache?.resources ?? []),
    ],
    follow: observability.follow,
    respond,
    respondEmbeddings,
    respondClassifications,
    respondError,
  });
  const grpc = opened.add(
    await openGrpc(config.grpc, {
      asker: ingress.asker,
      identify: (headers) => void access.identify(headers),
      collect: collectAnswer,
      env,
      checkModel: (name) => void catalog.find(name),
      onRefusal: (level, reason) => sinks.logs?.warn('the gateway that decides at a level refuses conversations', { level, reason }),
      onInvalidCertificate: notices.onInvalidCertificate,
    }),
    (part) => part.drain(0),
  );
  const address = await listen(ingress.server, config.server);
  sinks.logs?.info('listening', { url: urlOf(address) });
  prefetch?.begin(ingress.asker);
  devices?.start((url, problem) =>
    problem === undefined
      ? sinks.logs?.info('reports of this device are taken again', { url })
      : sinks.logs?.warn('reports of this device are not taken', { url, problem }),
  );
  const drain = async () => {
    const timeoutMs = config.server.drain_timeout_ms;
    sinks.logs?.info('draining', { timeout_ms: timeoutMs });
    prefetch?.close();
    batches.pause();
    await Promise.all([ingress.drain(timeoutMs), grpc?.drain(timeoutMs)]);
    await opened.close();
  };
  let drained: Promise<void> | undefined;
  return {
    url: urlOf(address),
    port: address.port,
    grpcPort: grpc?.port,
    engine: engines.embedded,
    drain: () => (drained ??= drain()),
  };
}

/** The router's options, as the configuration file has them. */
export function routerOptions({ balance, tries_max: triesMax, health, retries, hedging }: Config['router']): RouterOptions {
  return {
    balance,
    triesMax,
    failuresMax: health.failures,
    openMsFirst: health.eject_ms,
    openMsMax: health.eject_max_ms,
    slowFactor: health.slow_factor,
    panics: health.panic,
    slowStartMs: health.slow_start_ms,
    retries: { ratio: retries.ratio, perSecond: retries.per_second },
    hedging: { enabled: hedging.enabled, quantile: hedging.quantile, ratio: hedging.ratio, delayMsMin: hedging.delay_min_ms },
    now: () => performance.now(),
    random: Math.random,
  };
}

function listen(server: Ingress['server'], { host, port }: Config['server']): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
