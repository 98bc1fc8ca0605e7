import type { Stage } from '@open-autoglm/protocol';
import type { ModelCatalog } from './common/model-catalog.ts';
import type { OnRedis } from './common/watch-redis.ts';
import type { Config } from './config/schema.ts';
import { createCacheRoutes } from './ingress/cache-routes.ts';
import type { Generations } from './ingress/generations.ts';
import type { FindResource } from './ingress/resource.ts';
import { answerCodec } from './response-cache/answer-codec.ts';
import type { AnswerEntry } from './response-cache/answer-entry.ts';
import type { CacheReading } from './observability/metrics/cache-metrics.ts';
import { KeptEmbeddings } from './response-cache/intermediate/kept-embeddings.ts';
import { vectorCodec } from './response-cache/intermediate/vector-codec.ts';
import type { RedisLevel } from './response-cache/levels/redis-level.ts';
import { ResponseCache } from './response-cache/response-cache.ts';

/** The response cache and what it is made of. */
export interface CacheParts {
  readonly stage: Stage;
  readonly responses: ResponseCache;
  readonly redis: RedisLevel<AnswerEntry> | undefined;
  /** Undefined: they are not kept. */
  readonly embeddings: KeptEmbeddings | undefined;
  readonly resources: readonly ((generations: Generations) => FindResource)[];
  /** For metrics. */
  read(): CacheReading;
  close(): Promise<void>;
}

const answerPrefix = 'autoglm:cache:1:answer:';
const vectorPrefix = 'autoglm:cache:1:embedding:';
const revocationRetryMs = 1000;
/** Questions and writes to Redis that may be under way on a connection; each is bounded in time, too. */
const pendingMax = 4096;

/** The response cache, as the configuration wants it; undefined: it wants none. Redis's library is loaded where it is used. */
export async function openCache(config: Config['cache'], catalog: ModelCatalog, onRedis: OnRedis): Promise<CacheParts | undefined> {
  if (!config.enabled) return undefined;
  const { redis_url: url } = config;
  const shared = url === undefined ? undefined : await openShared(url, config, onRedis);
  const responses = new ResponseCache({
    ttlMs: config.ttl_seconds * 1000,
    jitter: config.ttl_jitter,
    staleMs: config.stale_seconds * 1000,
    earlyRefresh: config.early_refresh,
    maxBytes: config.max_bytes,
    maxEntryBytes: config.max_entry_bytes,
    maxRefreshes: config.max_refreshes,
    shared: shared?.redis,
    identify: (model) => catalog.identity(model),
    now: Date.now,
    random: Math.random,
  });
  const { intermediate } = config;
  const embeddings = intermediate.enabled
    ? new KeptEmbeddings({
        maxBytes: intermediate.max_bytes,
        ttlMs: intermediate.ttl_seconds * 1000,
        shared: shared?.vectors,
        now: Date.now,
      })
    : undefined;
  const revocations = shared?.hear((id) => {
    if (!id.startsWith(answerPrefix)) return;
    const key = id.slice(answerPrefix.length);
    shared.redis.drop(key);
    responses.forget(key);
  });
  return {
    stage: responses.stage,
    responses,
    redis: shared?.redis,
    embeddings,
    resources: [createCacheRoutes(responses)],
    read: () => ({
      levels: [
        { level: 'memory', counts: { ...responses.store.memory.counts } },
        ...(shared ? [{ level: 'redis', counts: { ...shared.redis.counts } }] : []),
      ],
      embeddingLevels: embeddings
        ? [
            { level: 'memory', counts: { ...embeddings.memory.counts } },
            ...(shared ? [{ level: 'redis', counts: { ...shared.vectors.counts } }] : []),
          ]
        : [],
      embeddingBytes: embeddings?.memory.bytes ?? 0,
      memoryEntries: responses.store.memory.entries,
      memoryBytes: responses.store.memory.bytes,
      waitingWrites: (shared?.redis.waiting ?? 0) + (shared?.vectors.waiting ?? 0),
      waitingRevocations: shared?.redis.waitingRevocations ?? 0,
      flights: responses.flightCount,
      revoked: responses.revoked,
      refreshes: { begun: responses.refreshes.begun, failed: responses.refreshes.failed, skipped: responses.refreshes.skipped },
    }),
    async close() {
      responses.close();
      revocations?.close();
      await shared?.close();
    },
  };
}

/** The second level, which several gateways share, and what they revoke. */
async function openShared(url: string, config: Config['cache'], onRedis: OnRedis) {
  const [{ RedisConnection }, { RedisLevel }, { Revocations }] = await Promise.all([
    import('./response-cache/levels/redis-connection.ts'),
    import('./response-cache/levels/redis-level.ts'),
    import('./response-cache/levels/revocations.ts'),
  ]);
  const connect = (tell?: OnRedis) =>
    new RedisConnection({ url, timeoutMs: config.redis_timeout_ms, maxPending: pendingMax, now: () => performance.now(), onRedis: tell });
  // A request for embeddings asks many questions at once: their failures, and their number, must not keep answers from being looked up and
  // revoked.
  const [ofAnswers, ofVectors] = [connect(onRedis), connect()];
  const common = { maxWrites: config.max_redis_writes, retryMs: revocationRetryMs, now: Date.now };
  const redis = new RedisLevel({ ...common, connection: ofAnswers, prefix: answerPrefix, codec: answerCodec });
  const vectors = new RedisLevel({ ...common, connection: ofVectors, prefix: vectorPrefix, codec: vectorCodec });
  return {
    redis,
    vectors,
    hear: (onRevoked: (id: string) => void) => new Revocations(url, onRevoked),
    async close() {
      await redis.close();
      await vectors.close();
      ofAnswers.close();
      ofVectors.close();
    },
  };
}
