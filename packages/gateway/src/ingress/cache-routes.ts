import type { ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Generations } from './generations.ts';
import type { FindResource } from './resource.ts';
import { sendAnswer } from './send-answer.ts';
import { tenantOf } from './tenant.ts';

/** What is told of an answer that is kept. Times in milliseconds since 1970. */
export interface KeptAnswer {
  readonly model: string;
  readonly engine: string | undefined;
  readonly tier: string | undefined;
  readonly level: string;
  readonly keptAtMs: number;
  readonly expiresAtMs: number;
  readonly computeMs: number;
  readonly bytes: number;
  readonly hits: number;
  readonly completionTokens: number;
  readonly finishReasons: readonly string[];
}

export interface CacheEntries {
  /** Undefined where this tenant has none of that key, whoever else has. */
  describe(key: string, tenant: string): Promise<KeptAnswer | undefined>;
  /** Whether there was one. Rejects where a level cannot be reached. */
  revoke(key: string, tenant: string): Promise<boolean>;
}

/** SHA-256 in base64url. */
const pathPattern = /^\/v1\/cache\/([\w-]{43})$/;

/**
 * Answers that are kept, by the key that each hit tells:
 *
 *   GET    /v1/cache/{key}   what is known of it, without its words: who may read those can ask the question
 *   DELETE /v1/cache/{key}   nobody gets it any more, on no level and at no gateway
 *
 * Another tenant's answer is not there.
 */
export function createCacheRoutes(entries: CacheEntries): (generations: Generations) => FindResource {
  return (generations) => (path) => {
    const key = pathPattern.exec(path)?.[1];
    if (key === undefined) return undefined;
    return {
      methods: ['GET', 'DELETE'],
      async serve({ message, response }) {
        const tenant = tenantOf(message.headers, undefined);
        await generations.admitCall(message, tenant, response);
        await (message.method === 'GET' ? describe : revoke)(entries, key, tenant, response);
      },
    };
  };
}

async function describe(entries: CacheEntries, key: string, tenant: string, response: ServerResponse): Promise<void> {
  const found = await entries.describe(key, tenant);
  if (!found) throw notFound();
  const seconds = (ms: number) => Math.round(ms / 1000);
  sendAnswer(response, 200, {
    key,
    object: 'cache.entry',
    model: found.model,
    created: seconds(found.keptAtMs),
    expires_at: seconds(found.expiresAtMs),
    level: found.level,
    engine: found.engine ?? null,
    tier: found.tier ?? null,
    compute_ms: Math.round(found.computeMs),
    completion_tokens: found.completionTokens,
    finish_reasons: found.finishReasons,
    bytes: found.bytes,
    hits: found.hits,
  });
}

async function revoke(entries: CacheEntries, key: string, tenant: string, response: ServerResponse): Promise<void> {
  if (!(await entries.revoke(key, tenant))) throw notFound();
  sendAnswer(response, 200, { key, object: 'cache.entry', deleted: true });
}

function notFound(): AutoglmError {
  return new AutoglmError('cache_entry_not_found', 'There is no such answer, or not any more.');
}
