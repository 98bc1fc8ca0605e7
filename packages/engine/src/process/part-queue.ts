import type { GeneratePart } from '@open-autoglm/protocol';

/**
 * What arrived for one request and was not read yet. It cannot hold more than the request's context has tokens, so a
 * slow reader costs bounded memory.
 */
export class PartQueue implements AsyncIterableIterator<GeneratePart> {
  #parts: GeneratePart[] = [];
  #end: { readonly error: unknown } | 'complete' | undefined;
  #wake: (() => void) | undefined;

  /** Whether nothing more will come, be it read or not. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Takes no notice of what comes after the end: the process may have sent it before it heard of an abort. */
  push(part: GeneratePart): void {
    if (this.#end) return;
    this.#parts.push(part);
    if (part.type === 'text-end') this.#end = 'complete';
    this.#wake?.();
  }

  /** Ends the iteration with an error, after the parts that came before. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Ends the iteration with the reason at once: who has left reads nothing more, be it here already. */
  abort(reason: unknown): void {
    this.#parts = [];
    this.#end = { error: reason };
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<GeneratePart>> {
    for (;;) {
      const value = this.#parts.shift();
      if (value) return { value, done: false };
      if (this.#end === 'complete') return { value: undefined, done: true };
      if (this.#end) throw this.#end.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
