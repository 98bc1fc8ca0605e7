import { Partition } from './partition.ts';
import { distanceMax, Signatures, signatureWords } from './signature.ts';

/** A question whose answer is kept. */
export interface IndexedQuestion {
  /** Of the answer: unique. */
  readonly key: string;
  /** Only questions of one scope are ever compared. */
  readonly scope: string;
  readonly text: string;
}

export interface Neighbour {
  readonly key: string;
  readonly text: string;
  /** Cosine. */
  readonly similarity: number;
}

export interface IndexBounds {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

/** Of an entry beside its vector and its text: maps, strings, signature; roughly, and rather too much. */
const entryBytes = 512;
/** Rows whose signatures are near are compared exactly, so many at most. */
const comparedMax = 128;

interface Place extends IndexedQuestion {
  readonly partition: Partition;
  readonly bytes: number;
}

/**
 * Questions by their embeddings, in a partition for each scope. Within its bounds: who was used longest ago makes room. Exact but for
 * pairs that signatures overlook, one in 30,000.
 */
export class QuestionIndex {
  readonly #bounds: IndexBounds;
  /** Least recently used first. */
  readonly #places = new Map<string, Place>();
  readonly #partitions = new Map<string, Partition>();
  #signatures: Signatures | undefined;
  #dimensions = 0;
  #bytes = 0;

  constructor(bounds: IndexBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#places.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `vector` has length 1. Vectors of another length than before come from another model: everything older goes. */
  add({ key, scope, text }: IndexedQuestion, vector: Float32Array): void {
    if (vector.length !== this.#dimensions) this.#begin(vector.length);
    this.delete(key);
    const bytes = entryBytes + vector.length + signatureWords * 4 + (text.length + scope.length) * 2;
    if (bytes > this.#bounds.bytesMax) return;
    const partition = this.#partitions.get(scope) ?? new Partition(this.#dimensions);
    this.#partitions.set(scope, partition);
    partition.set(key, vector, (this.#signatures as Signatures).of(vector));
    this.#places.set(key, { key, scope, text, partition, bytes });
    this.#bytes += bytes;
    while (this.#places.size > this.#bounds.entriesMax || this.#bytes > this.#bounds.bytesMax)
      this.delete(this.#places.keys().next().value as string);
  }

  delete(key: string): boolean {
    const place = this.#places.get(key);
    if (!place) return false;
    this.#places.delete(key);
    this.#bytes -= place.bytes;
    place.partition.delete(key);
    if (place.partition.size === 0) this.#partitions.delete(place.scope);
    return true;
  }

  /** It was of use. */
  touch(key: string): void {
    const place = this.#places.get(key);
    if (!place) return;
    this.#places.delete(key);
    this.#places.set(key, place);
  }

  /** Questions of the scope of at least this similarity, most similar first. */
  find(scope: string, vector: Float32Array, similarityMin: number, countMax: number): Neighbour[] {
    const partition = this.#partitions.get(scope);
    if (!partition || vector.length !== this.#dimensions) return [];
    const near = partition.near((this.#signatures as Signatures).of(vector), distanceMax(similarityMin), comparedMax);
    return near
      .map((key) => ({ key, text: (this.#places.get(key) as Place).text, similarity: partition.cosine(key, vector) }))
      .filter(({ similarity }) => similarity >= similarityMin)
      .toSorted((a, b) => b.similarity - a.similarity)
      .slice(0, countMax);
  }

  #begin(dimensions: number): void {
    this.#places.clear();
    this.#partitions.clear();
    this.#bytes = 0;
    this.#dimensions = dimensions;
    this.#signatures = new Signatures(dimensions);
  }
}
