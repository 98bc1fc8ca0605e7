import type { Pointer } from '../ggml/bindings.ts';

/** Where a sequence's keys and values lie, and how the runner's graphs address them. Offsets and strides in bytes. */
export interface KvCache {
  /** A tensor for each layer: rows of [keys | values], one row a token. */
  readonly layers: readonly Pointer[];
  readonly rowCount: number;
  readonly rowBytes: number;
  /** From the start of a row to its values. */
  readonly valueOffset: number;
  readonly elementBytes: number;
  readonly slotRows: number;
  readonly slotBytes: number;
  /** The first of 64 rows that nobody reads: for keys and values that are computed only because others need their company. */
  readonly scratchRow: number;
  /** Sequences that can hold a place at once. */
  readonly capacity: number;
  /** Gives a sequence a place; false when there is none. */
  acquire(sequence: string): boolean;
  release(sequence: string): void;
  slotOf(sequence: string): number;
  /**
   * Moves sequences so that those given hold slots 0 … n − 1, and returns them in slot order. A batch then reads
   * one strided view of the cache. A move costs a copy of the sequence's rows, at most two for one that left.
   */
  arrange(sequences: readonly string[], lengthOf: (sequence: string) => number): readonly string[];
  /**
   * Makes the first `rows` rows of a slot hold numbers. Attention reads whole windows and masks what is not written yet,
   * but NaN survives a mask. Costs a comparison once the rows have been used.
   */
  makeReadable(slot: number, rows: number): void;
  close(): void;
}
