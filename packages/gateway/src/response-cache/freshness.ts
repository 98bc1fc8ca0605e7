import type { CacheWish } from '@open-autoglm/protocol';

/** When something was kept and until when it is good, in milliseconds since 1970: processes on several machines read it. */
export interface Lifetime {
  readonly keptAtMs: number;
  readonly expiresAtMs: number;
  /** From then on nobody gets it any more, not even while it is computed anew. */
  readonly goneAtMs: number;
  /** What it took to compute, from the request to the last part. */
  readonly computeMs: number;
}

export interface LifetimeSettings {
  readonly ttlMs: number;
  /** 0 … 1: what was kept together shall not expire together. */
  readonly jitter: number;
  /** How long after its end an answer may be given while a new one is computed. */
  readonly staleMs: number;
}

/** `random` is 0 … 1. */
export function lifetime(nowMs: number, computeMs: number, { ttlMs, jitter, staleMs }: LifetimeSettings, random: number): Lifetime {
  const expiresAtMs = nowMs + ttlMs * (1 - jitter * random);
  return { keptAtMs: nowMs, expiresAtMs, goneAtMs: expiresAtMs + staleMs, computeMs };
}

/** `early`, `stale`: it may be given, and is to be computed anew beside that. `unfit`: it may not be given. */
export type Freshness = 'fresh' | 'early' | 'stale' | 'unfit';

/**
 * XFetch (Vattani et al. 2015): the nearer the end and the longer it takes to compute, the likelier somebody begins early, so that
 * everybody rarely finds it expired at once. `beta` 1 is the paper's optimum, 0 never begins early. `random` is 0 … 1.
 */
export function freshness(
  { keptAtMs, expiresAtMs, goneAtMs, computeMs }: Lifetime,
  nowMs: number,
  beta: number,
  random: number,
  wish?: CacheWish,
): Freshness {
  const { maxAgeSeconds, minFreshSeconds } = wish ?? {};
  if (nowMs >= goneAtMs) return 'unfit';
  if (maxAgeSeconds !== undefined && nowMs - keptAtMs > maxAgeSeconds * 1000) return 'unfit';
  if (minFreshSeconds !== undefined && expiresAtMs - nowMs < minFreshSeconds * 1000) return 'unfit';
  if (nowMs >= expiresAtMs) return 'stale';
  return beta > 0 && nowMs - computeMs * beta * Math.log(random) >= expiresAtMs ? 'early' : 'fresh';
}
