import type { Arrangement } from './kv-cache.ts';

/** Makes the first `length` rows of the sequence, which are in slot `from`, the first rows of slot `to`. False: the system refused. */
export type MoveRows = (from: number, to: number, length: number, sequence: string) => boolean;

/**
 * Which sequence holds which slot. There is always one free slot more than sequences can be, so that two sequences can
 * change places.
 */
export class SlotTable {
  readonly #owners: (string | undefined)[];
  readonly #slots = new Map<string, number>();
  readonly #maxSequences: number;
  readonly #moveRows: MoveRows;

  constructor(maxSequences: number, moveRows: MoveRows) {
    this.#maxSequences = maxSequences;
    this.#owners = new Array<string | undefined>(maxSequences + 1).fill(undefined);
    this.#moveRows = moveRows;
  }

  get isFull(): boolean {
    return this.#slots.size === this.#maxSequences;
  }

  has(sequence: string): boolean {
    return this.#slots.has(sequence);
  }

  acquire(sequence: string): boolean {
    if (this.isFull) return false;
    this.#own(this.#freeSlot(), sequence);
    return true;
  }

  /** False: it holds none. */
  release(sequence: string): boolean {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) return false;
    this.#owners[slot] = undefined;
    return this.#slots.delete(sequence);
  }

  slotOf(sequence: string): number {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) throw new Error(`sequence ${sequence} holds no slot`);
    return slot;
  }

  /** See `KvCache.arrange`. Sequences that are already in place stay there. */
  arrange(sequences: readonly string[], lengthOf: (sequence: string) => number): Arrangement {
    const wanted = new Set(sequences);
    const outside = sequences.filter((sequence) => this.slotOf(sequence) >= sequences.length);
    const places = sequences.map((_, slot) => ({ slot, owner: this.#owners[slot] }));
    const taken = places.filter(({ owner }) => owner !== undefined && !wanted.has(owner));
    // Free places first: filling them leaves room behind for those that must step aside.
    for (const { slot, owner } of [...places.filter(({ owner: none }) => none === undefined), ...taken]) {
      if (owner !== undefined && !this.#move(owner, this.#freeSlot(sequences.length), lengthOf(owner)))
        return { kind: 'refused', sequence: owner };
      const mover = outside.pop() as string;
      if (!this.#move(mover, slot, lengthOf(mover))) return { kind: 'refused', sequence: mover };
    }
    return { kind: 'arranged', order: this.#owners.slice(0, sequences.length) as string[] };
  }

  #move(sequence: string, to: number, length: number): boolean {
    const from = this.slotOf(sequence);
    if (!this.#moveRows(from, to, length, sequence)) return false;
    this.#owners[from] = undefined;
    this.#own(to, sequence);
    return true;
  }

  #own(slot: number, sequence: string): void {
    this.#owners[slot] = sequence;
    this.#slots.set(sequence, slot);
  }

  #freeSlot(from = 0): number {
    return this.#owners.indexOf(undefined, from);
  }
}
