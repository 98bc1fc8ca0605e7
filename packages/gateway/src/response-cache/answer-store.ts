import type { StreamPart } from '@open-autoglm/protocol';
import { entryBytes, toWhole, type AnswerEntry } from './answer-entry.ts';
import type { CacheLevel } from './levels/level.ts';
import { MemoryLevel } from './levels/memory-level.ts';

/** An entry in this process. */
export class AnswerSlot {
  readonly entry: AnswerEntry;
  /** Not computed anew before: the last try failed, or goes on. */
  refreshAfterMs = 0;
  hits = 0;
  #whole: readonly StreamPart[] | undefined;

  constructor(entry: AnswerEntry) {
    this.entry = entry;
  }

  /** The parts as a stream or a whole answer takes them. */
  parts(stream: boolean): readonly StreamPart[] {
    if (stream) return this.entry.parts;
    return (this.#whole ??= toWhole(this.entry.parts));
  }
}

export interface FoundAnswer {
  readonly slot: AnswerSlot;
  readonly level: 'memory' | 'redis';
}

export interface AnswerStoreOptions {
  readonly maxBytes: number;
  /** Behind the memory; absent: there is none. */
  readonly shared?: CacheLevel<AnswerEntry> | undefined;
  readonly now: () => number;
}

/** Answers on every level. */
export class AnswerStore {
  readonly memory: MemoryLevel<AnswerSlot>;
  readonly shared: CacheLevel<AnswerEntry> | undefined;
  /**
   * Questions to the shared level that are under way: one for all who ask for a key. Who finds another there, or none, has been overtaken
   * by a revocation.
   */
  readonly #reading = new Map<string, Promise<FoundAnswer | undefined>>();

  constructor({ maxBytes, shared, now }: AnswerStoreOptions) {
    this.memory = new MemoryLevel({ maxBytes, bytesOf: ({ entry }) => entryBytes(entry), now });
    this.shared = shared;
  }

  /** What is found on the shared level is in the memory from then on. */
  async find(key: string): Promise<FoundAnswer | undefined> {
    return this.#findInMemory(key) ?? this.findShared(key);
  }

  /** As `find`, for who must know: rejects with `cache_unavailable` where the shared level cannot tell. */
  async require(key: string): Promise<FoundAnswer | undefined> {
    const found = this.#findInMemory(key);
    if (found) return found;
    const entry = await this.shared?.require(key);
    return entry && { slot: new AnswerSlot(entry), level: 'redis' };
  }

  async findShared(key: string): Promise<FoundAnswer | undefined> {
    return this.shared && (this.#reading.get(key) ?? this.#read(this.shared, key));
  }

  #read(shared: CacheLevel<AnswerEntry>, key: string): Promise<FoundAnswer | undefined> {
    const reading = Promise.resolve(shared.get(key)).then((entry): FoundAnswer | undefined => {
      // A reply that was on its way when its answer was revoked must not bring it back.
      if (this.#reading.get(key) !== reading) return undefined;
      this.#reading.delete(key);
      if (!entry) return undefined;
      // Of an answer that was computed anew here, the shared level may still have the old one: it is full, or was away.
      const newer = this.memory.peek(key);
      if (newer && newer.entry.keptAtMs > entry.keptAtMs) return { slot: newer, level: 'memory' };
      const slot = new AnswerSlot(entry);
      this.memory.set(key, slot, entry.goneAtMs);
      return { slot, level: 'redis' };
    });
    this.#reading.set(key, reading);
    return reading;
  }

  #findInMemory(key: string): FoundAnswer | undefined {
    const slot = this.memory.get(key);
    return slot && { slot, level: 'memory' };
  }

  keep(key: string, entry: AnswerEntry): void {
    this.memory.set(key, new AnswerSlot(entry), entry.goneAtMs);
    this.shared?.set(key, entry, entry.goneAtMs);
  }

  /** Nobody gets it from this process any more, nor by a reply that is under way. Whether it was in memory. */
  forget(key: string): boolean {
    this.#reading.delete(key);
    return this.memory.delete(key);
  }

  /** Rejects where a level cannot promise that it is gone; from the others it is gone then, too. */
  async revoke(key: string): Promise<void> {
    this.forget(key);
    await this.shared?.delete(key);
    // It may have been read while it was being deleted.
    this.forget(key);
  }
}
