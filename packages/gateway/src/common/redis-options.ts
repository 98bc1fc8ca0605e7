import type { RedisOptions } from 'ioredis';

const connectTimeoutMs = 2000;

/**
 * Of a Redis that is asked only while it is there: what cannot be asked now is not asked. Answers are bounded by `answeredWithin`; the
 * library's own bound, which takes a busy time of this process for silence, is for what greets a new connection, and above it.
 */
export function redisOptions(timeoutMs: number) {
  return {
    commandTimeout: timeoutMs + connectTimeoutMs,
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt: number) => Math.min(2000, attempt * 100),
  } satisfies RedisOptions;
}
