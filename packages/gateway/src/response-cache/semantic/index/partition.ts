import { scan, signatureWords } from './signature.ts';

/** Vectors in 8 bits each, with a factor, and their signatures: rows of arrays that grow by doubling. */
export class Partition {
  readonly #dimensions: number;
  /** By row. */
  readonly keys: string[] = [];
  readonly #rowOf = new Map<string, number>();
  #vectors: Int8Array;
  #factors: Float32Array;
  #signatures: Uint32Array;

  /** A conversation is a scope of its own, so most partitions have one row for all of their life. */
  constructor(dimensions: number, capacity = 1) {
    this.#dimensions = dimensions;
    this.#vectors = new Int8Array(capacity * dimensions);
    this.#factors = new Float32Array(capacity);
    this.#signatures = new Uint32Array(capacity * signatureWords);
  }

  get size(): number {
    return this.keys.length;
  }

  /** Replaces the key's vector where it has one. */
  set(key: string, vector: Float32Array, signature: Uint32Array): void {
    const row = this.#rowOf.get(key) ?? this.#append(key);
    let largest = 0;
    for (const value of vector) largest = Math.max(largest, Math.abs(value));
    const factor = largest / 127 || 1;
    this.#factors[row] = factor;
    const from = row * this.#dimensions;
    for (let at = 0; at < this.#dimensions; at += 1) this.#vectors[from + at] = Math.round((vector[at] as number) / factor);
    this.#signatures.set(signature, row * signatureWords);
  }

  /** The last row takes the place of the one that goes. */
  delete(key: string): boolean {
    const row = this.#rowOf.get(key);
    if (row === undefined) return false;
    const last = this.keys.length - 1;
    const moved = this.keys[last] as string;
    this.#vectors.copyWithin(row * this.#dimensions, last * this.#dimensions, (last + 1) * this.#dimensions);
    this.#factors[row] = this.#factors[last] as number;
    this.#signatures.copyWithin(row * signatureWords, last * signatureWords, (last + 1) * signatureWords);
    this.keys[row] = moved;
    this.#rowOf.set(moved, row);
    this.keys.pop();
    this.#rowOf.delete(key);
    return true;
  }

  /** The keys of the rows whose cosine with the vector may be as great as `distance` says, nearest signatures first. */
  near(signature: Uint32Array, distance: number, countMax: number): string[] {
    const rows: { row: number; bits: number }[] = [];
    scan(this.#signatures, this.size, signature, distance, (row, bits) => rows.push({ row, bits }));
    if (rows.length > countMax) rows.sort((a, b) => a.bits - b.bits);
    return rows.slice(0, countMax).map(({ row }) => this.keys[row] as string);
  }

  /** With a vector of length 1. The 8 bits make it wrong by less than 0.005. */
  cosine(key: string, vector: Float32Array): number {
    const row = this.#rowOf.get(key);
    if (row === undefined) return Number.NaN;
    const from = row * this.#dimensions;
    let sum = 0;
    for (let at = 0; at < this.#dimensions; at += 1) sum += (this.#vectors[from + at] as number) * (vector[at] as number);
    return sum * (this.#factors[row] as number);
  }

  #append(key: string): number {
    const row = this.keys.length;
    if (row === this.#factors.length) this.#grow(row * 2);
    this.keys.push(key);
    this.#rowOf.set(key, row);
    return row;
  }

  #grow(capacity: number): void {
    const [vectors, factors, signatures] = [this.#vectors, this.#factors, this.#signatures];
    this.#vectors = new Int8Array(capacity * this.#dimensions);
    this.#vectors.set(vectors);
    this.#factors = new Float32Array(capacity);
    this.#factors.set(factors);
    this.#signatures = new Uint32Array(capacity * signatureWords);
    this.#signatures.set(signatures);
  }
}
