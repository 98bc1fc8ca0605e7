import { randomBytes, randomUUID } from 'node:crypto';
import type { OnRedis } from '../../common/watch-redis.ts';
import type { BodyReading } from '../body.ts';
import type { Generations } from '../generations.ts';
import type { FindResource } from '../resource.ts';
import { MemorySessionStore } from './memory-store.ts';
import { createSessionRoutes } from './session-routes.ts';
import type { SessionLimits, SessionSources } from './session-store.ts';

/** As the configuration has them. */
export interface SessionOptions {
  readonly enabled: boolean;
  readonly ttl_seconds: number;
  readonly per_tenant_max: number;
  readonly sessions_max: number;
  readonly bytes_max: number;
  readonly session_bytes_max: number;
  readonly redis_url?: string;
  readonly redis_timeout_ms: number;
}

export interface Sessions {
  readonly resources: readonly ((generations: Generations) => FindResource)[];
  readonly close: () => Promise<void>;
}

const sources: SessionSources = { now: Date.now, newRevision: () => randomBytes(12).toString('base64url') };

/** Redis's library is loaded where it is used. */
export async function openSessions(options: SessionOptions, bodies: BodyReading, onRedis: OnRedis): Promise<Sessions> {
  if (!options.enabled) return { resources: [], close: async () => {} };
  const limits: SessionLimits = {
    ttlMs: options.ttl_seconds * 1000,
    perTenantMax: options.per_tenant_max,
    sessionsMax: options.sessions_max,
    bytesMax: options.bytes_max,
  };
  const store =
    options.redis_url === undefined
      ? new MemorySessionStore(limits, sources)
      : new (await import('./redis-store.ts')).RedisSessionStore(
          { url: options.redis_url, timeoutMs: options.redis_timeout_ms, onRedis },
          limits,
          sources,
        );
  const routes = createSessionRoutes({ store, bodies, sessionBytesMax: options.session_bytes_max, newId: () => `session-${randomUUID()}` });
  return { resources: [routes], close: () => store.close() };
}
