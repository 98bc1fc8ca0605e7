import Type, { type Static } from 'typebox';
import { defaultIntermediate, intermediateSchema } from './intermediate.ts';
import { defaultPrefetch, prefetchSchema } from './prefetch.ts';
import { defaultSemantic, semanticSchema } from './semantic.ts';

const closed = { additionalProperties: false } as const;

/** Answers that are kept, so that who asks the same again gets them at once. */
export const cacheSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /**
     * Several gateways with one Redis know each other's answers, and keep them over a restart; without it they are in this process's memory
     * only.
     */
    redis_url: Type.Optional(Type.String({ pattern: '^rediss?://\\S+$', maxLength: 2048 })),
    /** Redis is given so long to answer; later the answer is computed. */
    redis_timeout_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
    /** Answers that wait to be written to Redis; more are not. */
    max_redis_writes: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /** How long an answer is good, where the request does not say so itself. */
    ttl_seconds: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
    /** Up to this share of the time less, by chance, so that what came together does not expire together. */
    ttl_jitter: Type.Number({ minimum: 0, maximum: 1 }),
    /** How long after its end an answer may be given while a new one is computed; 0: never. */
    stale_seconds: Type.Integer({ minimum: 0, maximum: 86_400 }),
    /** XFetch's beta: how early before its end an answer that is asked for is computed anew, by chance; 0: never. */
    early_refresh: Type.Number({ minimum: 0, maximum: 100 }),
    /** Of all answers in memory. */
    max_bytes: Type.Integer({ minimum: 65_536, maximum: Number.MAX_SAFE_INTEGER }),
    /** Of one; a longer one is not kept. */
    max_entry_bytes: Type.Integer({ minimum: 1024, maximum: 1_073_741_824 }),
    /** Answers that are computed anew at one time while the old ones are given. */
    max_refreshes: Type.Integer({ minimum: 0, maximum: 10_000 }),
    intermediate: intermediateSchema,
    semantic: semanticSchema,
    prefetch: prefetchSchema,
  },
  closed,
);

export const defaultCache: Static<typeof cacheSchema> = {
  enabled: false,
  redis_timeout_ms: 50,
  max_redis_writes: 1024,
  ttl_seconds: 300,
  ttl_jitter: 0.1,
  stale_seconds: 30,
  early_refresh: 1,
  max_bytes: 64 * 1024 * 1024,
  max_entry_bytes: 1024 * 1024,
  max_refreshes: 4,
  intermediate: defaultIntermediate,
  semantic: defaultSemantic,
  prefetch: defaultPrefetch,
};
