/**
 * Blocks that hold nothing of use. One that was used before is given out before one that never was, so that the memory
 * committed is what was needed at the worst moment; the successor of the sequence's last block before any other, so
 * that neighbours can be mapped in one piece.
 */
export class FreeBlocks {
  readonly #count: number;
  readonly #returned = new Set<number>();
  #untouched = 0;

  constructor(count: number) {
    this.#count = count;
  }

  get size(): number {
    return this.#returned.size + this.#count - this.#untouched;
  }

  /** `undefined` when there is none. */
  take(preferred: number): number | undefined {
    const [first] = this.#returned;
    if (first !== undefined) {
      const block = this.#returned.has(preferred) ? preferred : first;
      this.#returned.delete(block);
      return block;
    }
    if (this.#untouched === this.#count) return undefined;
    this.#untouched += 1;
    return this.#untouched - 1;
  }

  give(block: number): void {
    this.#returned.add(block);
  }
}
