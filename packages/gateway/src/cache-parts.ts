import type { Stage } from '@open-autoglm/protocol';
import type { ModelCatalog } from './common/model-catalog.ts';
import type { Config } from './config/schema.ts';
import { createCacheRoutes } from './ingress/cache-routes.ts';
import type { FindResource } from './ingress/resource.ts';
import { answerCodec } from './response-cache/answer-codec.ts';
import type { AnswerEntry } from './response-cache/answer-entry.ts';
import type { CacheReading } from './observability/metrics/cache-metrics.ts';
import { RedisConnection } from './response-cache/levels/redis-connection.ts';
import { RedisLevel } from './response-cache/levels/redis-level.ts';
import { Revocations } from './response-cache/levels/revocations.ts';
import { ResponseCache } from './response-cache/response-cache.ts';

/** The response cache and what it is made of. */
export interface CacheParts {
  readonly stage: Stage;
  readonly responses: ResponseCache;
  readonly redis: RedisLevel<AnswerEntry> | undefined;
  readonly resources: readonly (() => FindResource)[];
  /** For metrics. */
  read(): CacheReading;
  close(): void;
}

const answerPrefix = 'autoglm:cache:1:answer:';
/** Questions and writes to Redis that may be under way; each is bounded in time, too. */
const pendingMax = 4096;

/** The response cache, as the configuration wants it; undefined: it wants none. */
export function openCache(config: Config['cache'], catalog: ModelCatalog): CacheParts | undefined {
  if (!config.enabled) return undefined;
  const { redis_url: url } = config;
  const connection = url === undefined ? undefined : new RedisConnection({ url, timeoutMs: config.redis_timeout_ms, maxPending: pendingMax, now: () => performance.now() });
  const redis = connection && new RedisLevel({ connection, prefix: answerPrefix, codec: answerCodec, maxWrites: config.max_redis_writes, retryMs: 1000, now: Date.now });
  const responses = new ResponseCache({
    ttlMs: config.ttl_seconds * 1000,
    jitter: config.ttl_jitter,
    staleMs: config.stale_seconds * 1000,
    earlyRefresh: config.early_refresh,
    maxBytes: config.max_bytes,
    maxEntryBytes: config.max_entry_bytes,
    maxRefreshes: config.max_refreshes,
    shared: redis,
    identify: (model) => catalog.identity(model),
    now: Date.now,
    random: Math.random,
  });
  const revocations = url === undefined ? undefined : new Revocations(url, (id) => {
    if (!id.startsWith(answerPrefix)) return;
    const key = id.slice(answerPrefix.length);
    redis?.drop(key);
    responses.forget(key);
  });
  return {
    stage: responses.stage,
    responses,
    redis,
    resources: [() => createCacheRoutes(responses)],
    read: () => ({
      levels: [{ level: 'memory', counts: { ...responses.store.memory.counts } }, ...(redis ? [{ level: 'redis', counts: { ...redis.counts } }] : [])],
      memoryEntries: responses.store.memory.entries,
      memoryBytes: responses.store.memory.bytes,
      waitingWrites: redis?.waiting ?? 0,
      waitingRevocations: redis?.waitingRevocations ?? 0,
      flights: responses.flightCount,
      revoked: responses.revoked,
      refreshes: { begun: responses.refreshes.begun, failed: responses.refreshes.failed, skipped: responses.refreshes.skipped },
    }),
    close() {
      responses.close();
      revocations?.close();
      redis?.close();
      connection?.close();
    },
  };
}
