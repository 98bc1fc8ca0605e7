import type { Claim, Decision, LimitStore } from './limit-store.ts';
import { chargeOf, drained, emptyLevel, waitFor, type Level } from './token-bucket.ts';

export interface MemoryStoreOptions {
  /** Buckets that are kept; the one that was not used for longest goes, and its caller begins anew. */
  readonly bucketsMax: number;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Buckets of this process alone. */
export class MemoryLimitStore implements LimitStore {
  readonly #bucketsMax: number;
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #levels = new Map<string, Level>();

  constructor({ bucketsMax, now }: MemoryStoreOptions) {
    this.#bucketsMax = bucketsMax;
    this.#now = now;
  }

  get size(): number {
    return this.#levels.size;
  }

  take(claims: readonly Claim[], share: number): Decision {
    const nowMs = this.#now();
    const used: number[] = [];
    let waitMs = 0;
    for (const { bucket, rate, cost } of claims) {
      const before = drained(this.#levels.get(bucket) ?? emptyLevel, rate, nowMs);
      used.push(before);
      waitMs = Math.max(waitMs, waitFor(before, cost, rate, share));
    }
    if (waitMs === 0) {
      for (const [index, { bucket, rate, cost }] of claims.entries()) {
        used[index] = (used[index] as number) + chargeOf(cost, rate, share);
        this.#put(bucket, { used: used[index], atMs: nowMs });
      }
    }
    return { waitMs, used, source: 'memory' };
  }

  correct(claims: readonly Claim[]): void {
    const nowMs = this.#now();
    for (const { bucket, rate, cost } of claims) {
      const used = Math.max(0, drained(this.#levels.get(bucket) ?? emptyLevel, rate, nowMs) + cost);
      this.#put(bucket, { used, atMs: nowMs });
    }
  }

  close(): Promise<void> {
    this.#levels.clear();
    return Promise.resolve();
  }

  #put(bucket: string, level: Level): void {
    this.#levels.delete(bucket);
    this.#levels.set(bucket, level);
    if (this.#levels.size <= this.#bucketsMax) return;
    const [oldest] = this.#levels.keys();
    this.#levels.delete(oldest as string);
  }
}
