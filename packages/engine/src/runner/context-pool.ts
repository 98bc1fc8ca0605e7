import koffi from 'koffi';
import type { Ggml, Pointer } from '../ggml/bindings.ts';

/**
 * Memory for the objects of graphs, all of one size. It is used again when a graph goes: ggml would ask for it aligned, and
 * glibc's heap was seen to grow by 27 KB with every graph that came and went so.
 */
export class ContextPool {
  readonly #ggml: Ggml;
  readonly #bytes: number;
  /** At most as many as there ever were contexts at one time. */
  readonly #free: Pointer[] = [];

  constructor(ggml: Ggml, bytes: number) {
    this.#ggml = ggml;
    this.#bytes = bytes;
  }

  /** A context without memory for the tensors' data, and what gives it back. */
  open(): { readonly context: Pointer; close(): void } {
    const memory = this.#free.pop() ?? (koffi.alloc('uint8', this.#bytes) as unknown as Pointer);
    const context = this.#ggml.init({ mem_size: this.#bytes, mem_buffer: memory, no_alloc: true });
    return {
      context,
      close: () => {
        this.#ggml.free(context);
        this.#free.push(memory);
      },
    };
  }

  /** Frees the memory of closed contexts. */
  close(): void {
    for (const memory of this.#free.splice(0)) koffi.free(memory);
  }
}
