/**
 * Keeps values by key, for a while. The port of every level; `contract` in the tests is what each must do. A level may lose what it was
 * given at any time, and never gives anything else than what it was given.
 */
export interface CacheLevel<V> {
  /** Told to clients and in metrics. */
  readonly name: 'memory' | 'redis';
  /** Never rejects: what cannot be had is not there. */
  get(key: string): V | undefined | Promise<V | undefined>;
  /** As `get`, for who must know: rejects with `cache_unavailable` where the level cannot tell. */
  require(key: string): V | undefined | Promise<V | undefined>;
  /** Keeps it until then, in milliseconds since 1970. Returns at once; a level may do it later, or not at all. */
  set(key: string, value: V, untilMs: number): void;
  /** Whether it was there; when this has resolved, nobody gets it any more. Rejects where that cannot be promised. */
  delete(key: string): boolean | Promise<boolean>;
}

/** Counted since the start, by the level itself. */
export interface LevelCounts {
  hits: number;
  misses: number;
  kept: number;
  /** Gone before their time, to make room. */
  evicted: number;
  /** Values that were not what was kept, and were refused. */
  poisoned: number;
  /** Questions and writes that failed or came too late. */
  failed: number;
  /** Questions and writes that were not made: the level is down, or too much waits. */
  skipped: number;
}

export function noCounts(): LevelCounts {
  return { hits: 0, misses: 0, kept: 0, evicted: 0, poisoned: 0, failed: 0, skipped: 0 };
}
