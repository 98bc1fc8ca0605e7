/** Copies the first `length` rows of slot `from` to slot `to`. */
export type MoveRows = (from: number, to: number, length: number) => void;

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

  acquire(sequence: string): boolean {
    if (this.#slots.size === this.#maxSequences) return false;
    this.#own(this.#freeSlot(), sequence);
    return true;
  }

  release(sequence: string): void {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) return;
    this.#owners[slot] = undefined;
    this.#slots.delete(sequence);
  }

  slotOf(sequence: string): number {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) throw new Error(`sequence ${sequence} holds no slot`);
    return slot;
  }

  /** See `KvCache.arrange`. Sequences that are already in place stay there. */
  arrange(sequences: readonly string[], lengthOf: (sequence: string) => number): readonly string[] {
    const wanted = new Set(sequences);
    const outside = sequences.filter((sequence) => this.slotOf(sequence) >= sequences.length);
    for (let slot = 0; slot < sequences.length; slot += 1) {
      const owner = this.#owners[slot];
      if (owner !== undefined && wanted.has(owner)) continue;
      if (owner !== undefined) this.#move(owner, this.#freeSlot(sequences.length), lengthOf(owner));
      const mover = outside.pop() as string;
      this.#move(mover, slot, lengthOf(mover));
    }
    return this.#owners.slice(0, sequences.length) as string[];
  }

  #move(sequence: string, to: number, length: number): void {
    const from = this.slotOf(sequence);
    this.#moveRows(from, to, length);
    this.#owners[from] = undefined;
    this.#own(to, sequence);
  }

  #own(slot: number, sequence: string): void {
    this.#owners[slot] = sequence;
    this.#slots.set(sequence, slot);
  }

  #freeSlot(from = 0): number {
    return this.#owners.indexOf(undefined, from);
  }
}
