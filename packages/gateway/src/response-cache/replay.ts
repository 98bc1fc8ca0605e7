import type { StreamPart } from '@open-autoglm/protocol';

/** Gives kept parts as an engine would, without its time. Aborting ends it. */
export class Replay implements AsyncIterableIterator<StreamPart> {
  readonly #parts: readonly StreamPart[];
  readonly #signal: AbortSignal;
  #next = 0;

  constructor(parts: readonly StreamPart[], signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    const part = this.#parts[this.#next];
    if (!part) return Promise.resolve({ value: undefined, done: true });
    if (this.#signal.aborted) return Promise.reject(this.#signal.reason as Error);
    this.#next += 1;
    return Promise.resolve({ value: part, done: false });
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#next = this.#parts.length;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
