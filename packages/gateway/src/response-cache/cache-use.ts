import type { CacheWish, Sampling } from '@open-autoglm/protocol';

/** What the cache does for a request. `full`: looks up, shares, keeps. `refresh`: only keeps. `off`: nothing. */
export type CacheUse = { readonly use: 'full' | 'refresh'; readonly reason?: undefined } | { readonly use: 'off'; readonly reason: string };

const full: CacheUse = { use: 'full' };
const refresh: CacheUse = { use: 'refresh' };
const unwanted: CacheUse = { use: 'off', reason: 'the request does not want it' };
const sampled: CacheUse = { use: 'off', reason: 'the answer is sampled' };

/** Which requests the cache may answer follows the request. */
export function cacheUse(wish: CacheWish | undefined, sampling: Partial<Sampling>): CacheUse {
  const mode = wish?.mode ?? 'auto';
  if (mode === 'off') return unwanted;
  if (mode === 'refresh' || wish?.maxAgeSeconds === 0) return mode === 'auto' && !isRepeatable(sampling) ? sampled : refresh;
  return mode === 'on' || isRepeatable(sampling) ? full : sampled;
}

/**
 * Whether the same request wants the same answer again. A seed says so as clearly as a temperature of 0 does: who gives one asks for an
 * answer that can be had again. Without either, everybody who asks is owed an answer of their own.
 */
export function isRepeatable({ temperature, topK, seed }: Partial<Sampling>): boolean {
  return temperature === 0 || topK === 1 || seed !== undefined;
}
