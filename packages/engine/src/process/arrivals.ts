import { AutoglmError, type GenerateRequest } from '@open-autoglm/protocol';
import type { EngineCore } from '../core.ts';

/** Requests on their way into the core, while their prompts are tokenized. */
export class Arrivals {
  readonly #core: Pick<EngineCore, 'readPrompt' | 'add' | 'abort'>;
  readonly #max: number;
  readonly #reading = new Map<string, AbortController>();

  /** `max`: so many may be on their way. */
  constructor(core: Pick<EngineCore, 'readPrompt' | 'add' | 'abort'>, max: number) {
    this.#core = core;
    this.#max = max;
  }

  /**
   * Resolves when the core has it; false: it was aborted before, and nothing of its prompt waits to be tokenized any more. Rejects as
   * `EngineCore.add` throws.
   */
  async add(request: GenerateRequest): Promise<boolean> {
    if (this.#reading.size >= this.#max)
      throw new AutoglmError('queue_full', `The engine has ${this.#max} prompts to read already.`, { retryAfterSeconds: 1 });
    const leaving = new AbortController();
    this.#reading.set(request.id, leaving);
    try {
      const tokens = await this.#core.readPrompt(request, leaving.signal);
      if (leaving.signal.aborted) return false;
      this.#core.add({ ...request, prompt: { tokens } });
      return true;
    } catch (error) {
      if (leaving.signal.aborted) return false;
      throw error;
    } finally {
      if (this.#reading.get(request.id) === leaving) this.#reading.delete(request.id);
    }
  }

  abort(id: string): void {
    this.#reading.get(id)?.abort();
    this.#reading.delete(id);
    this.#core.abort(id);
  }
}
