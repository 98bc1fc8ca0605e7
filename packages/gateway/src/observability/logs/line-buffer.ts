/** Lines as UTF-8, whole ones. */
export interface Chunk {
  readonly bytes: Buffer<ArrayBuffer>;
  /** Bytes of it that are lines. */
  length: number;
  lineCount: number;
}

/** A chunk is as large as a pipe, or as its only line where that is longer. */
const chunkLength = 64 * 1024;

/**
 * Lines that wait, as bytes outside the heap. A line from pino is a tree of its pieces: kept as strings, 4 MB of lines were seen to
 * take 45 MB of heap, and each full collection to stop requests for 25 ms.
 */
export class LineBuffer {
  readonly #lengthMax: number;
  #chunks: Chunk[] = [];
  #length = 0;
  #spare: Buffer<ArrayBuffer> | undefined;

  /** `lengthMax` in bytes. */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** False when there is no room. */
  push(line: string): boolean {
    const length = Buffer.byteLength(line);
    if (this.#length + length > this.#lengthMax) return false;
    const chunk = this.#chunkFor(length);
    chunk.bytes.write(line, chunk.length);
    chunk.length += length;
    chunk.lineCount += 1;
    this.#length += length;
    return true;
  }

  /** Takes the oldest lines. */
  shift(): Chunk | undefined {
    const chunk = this.#chunks.shift();
    this.#length -= chunk?.length ?? 0;
    return chunk;
  }

  /** Takes the bytes of a chunk back, to be used again. */
  recycle(bytes: ArrayBuffer): void {
    if (bytes.byteLength === chunkLength) this.#spare = Buffer.from(bytes);
  }

  /** Lets go of everything; returns how many lines that were. */
  clear(): number {
    const count = this.#chunks.reduce((sum, { lineCount }) => sum + lineCount, 0);
    this.#chunks = [];
    this.#length = 0;
    this.#spare = undefined;
    return count;
  }

  #chunkFor(length: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last && last.bytes.length - last.length >= length) return last;
    const chunk = { bytes: this.#allocate(length), length: 0, lineCount: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }

  #allocate(length: number): Buffer<ArrayBuffer> {
    const spare = this.#spare;
    if (length > chunkLength || !spare) return Buffer.allocUnsafeSlow(Math.max(length, chunkLength));
    this.#spare = undefined;
    return spare;
  }
}
