import type { ModelCatalog } from './common/model-catalog.ts';
import type { Config } from './config/schema.ts';
import { ResponseCache } from './response-cache/response-cache.ts';

/** The response cache, as the configuration wants it; undefined: it wants none. */
export function openResponseCache(config: Config['cache'], catalog: ModelCatalog): ResponseCache | undefined {
  if (!config.enabled) return undefined;
  return new ResponseCache({
    ttlMs: config.ttl_seconds * 1000,
    jitter: config.ttl_jitter,
    staleMs: config.stale_seconds * 1000,
    earlyRefresh: config.early_refresh,
    maxBytes: config.max_bytes,
    maxEntryBytes: config.max_entry_bytes,
    maxRefreshes: config.max_refreshes,
    identify: (model) => catalog.identity(model),
    now: Date.now,
    random: Math.random,
  });
}
