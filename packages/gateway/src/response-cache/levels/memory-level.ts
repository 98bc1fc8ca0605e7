import { LRUCache } from 'lru-cache';
import { noCounts, type CacheLevel, type LevelCounts } from './level.ts';

export interface MemoryLevelOptions<V> {
  /** Of all values together, by `bytesOf`; the one unused longest goes. */
  readonly maxBytes: number;
  readonly bytesOf: (value: V) => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Slot<V> {
  readonly value: V;
  readonly untilMs: number;
}

/** What a key and its place take beside the value. */
const slotBytes = 256;

/** Values in this process. */
export class MemoryLevel<V> implements CacheLevel<V> {
  readonly name = 'memory';
  readonly counts: LevelCounts = noCounts();
  readonly #slots: LRUCache<string, Slot<V>>;
  readonly #options: MemoryLevelOptions<V>;

  constructor(options: MemoryLevelOptions<V>) {
    this.#options = options;
    this.#slots = new LRUCache({
      maxSize: options.maxBytes,
      dispose: (_, __, reason) => {
        if (reason === 'evict') this.counts.evicted += 1;
      },
    });
  }

  get entries(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    return this.#slots.calculatedSize;
  }

  get(key: string): V | undefined {
    const slot = this.#slots.get(key);
    if (slot && this.#options.now() < slot.untilMs) {
      this.counts.hits += 1;
      return slot.value;
    }
    if (slot) this.#slots.delete(key);
    this.counts.misses += 1;
    return undefined;
  }

  /** As `get`, but it counts as no use. */
  peek(key: string): V | undefined {
    const slot = this.#slots.peek(key);
    return slot && this.#options.now() < slot.untilMs ? slot.value : undefined;
  }

  require(key: string): V | undefined {
    return this.get(key);
  }

  /** A value that is larger than all there may be is not kept. */
  set(key: string, value: V, untilMs: number): void {
    const size = slotBytes + key.length + this.#options.bytesOf(value);
    if (size > this.#options.maxBytes || untilMs <= this.#options.now()) return;
    this.#slots.set(key, { value, untilMs }, { size });
    this.counts.kept += 1;
  }

  delete(key: string): boolean {
    return this.#slots.delete(key);
  }

  clear(): void {
    this.#slots.clear();
  }
}
