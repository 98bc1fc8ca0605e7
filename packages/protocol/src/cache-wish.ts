/**
 * `auto`: answers that the same request would get again. `on`: sampled ones, too. `refresh`: computed anew, and kept in the place of what
 * was there. `off`: neither looked up nor kept nor shared.
 */
export type CacheMode = 'auto' | 'on' | 'off' | 'refresh';

/** What a client wants of the response cache. */
export interface CacheWish {
  readonly mode: CacheMode;
  /** How long this answer is good, in seconds; the server's own when absent. */
  readonly ttlSeconds?: number | undefined;
  /** An answer that is older is not taken, in seconds. */
  readonly maxAgeSeconds?: number | undefined;
  /** An answer that is not good for so much longer is not taken, in seconds. */
  readonly minFreshSeconds?: number | undefined;
  /** Nothing is computed: without an answer at hand the request fails with `not_cached`. */
  readonly onlyIfCached?: boolean | undefined;
}
