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

  constructor({ maxBytes, shared, now }: AnswerStoreOptions) {
    this.memory = new MemoryLevel({ maxBytes, bytesOf: ({ entry }) => entryBytes(entry), now });
    this.shared = shared;
  }

  /** What is found on the shared level is in the memory from then on. */
  async find(key: string): Promise<FoundAnswer | undefined> {
    const slot = this.memory.get(key);
    if (slot) return { slot, level: 'memory' };
    return this.findShared(key);
  }

  async findShared(key: string): Promise<FoundAnswer | undefined> {
    const entry = await this.shared?.get(key);
    if (!entry) return undefined;
    const slot = new AnswerSlot(entry);
    this.memory.set(key, slot, entry.goneAtMs);
    return { slot, level: 'redis' };
  }

  keep(key: string, entry: AnswerEntry): void {
    this.memory.set(key, new AnswerSlot(entry), entry.goneAtMs);
    this.shared?.set(key, entry, entry.goneAtMs);
  }

  /** Whether it was on any level. Rejects where one cannot promise that it is gone; from the others it is gone then, too. */
  async revoke(key: string): Promise<boolean> {
    const wasInMemory = this.memory.delete(key);
    const wasShared = (await this.shared?.delete(key)) ?? false;
    // A question that was under way may have brought it back.
    this.memory.delete(key);
    return wasInMemory || wasShared;
  }
}
