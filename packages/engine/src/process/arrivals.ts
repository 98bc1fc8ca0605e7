import { AutoglmError, type GenerateRequest } from '@open-autoglm/protocol';
import type { EngineCore } from '../core.ts';

/** Requests on their way into the core, while their prompts are tokenized. */
export class Arrivals {
  readonly #core: Pick<EngineCore, 'readPrompt' | 'add' | 'abort'>;
  readonly #max: number;
  readonly #reading = new Map<string, GenerateRequest>();

  /** `max`: so many may be on their way. */
  constructor(core: Pick<EngineCore, 'readPrompt' | 'add' | 'abort'>, max: number) {
    this.#core = core;
    this.#max = max;
  }

  /** Resolves when the core has it; false: it was aborted before. Rejects as `EngineCore.add` throws. */
  async add(request: GenerateRequest): Promise<boolean> {
    if (this.#reading.size >= this.#max) throw new AutoglmError('queue_full', `The engine has ${this.#max} prompts to read already.`, { retryAfterSeconds: 1 });
    this.#reading.set(request.id, request);
    try {
      const tokens = await this.#core.readPrompt(request);
      if (this.#reading.get(request.id) !== request) return false;
      this.#core.add({ ...request, prompt: { tokens } });
      return true;
    } finally {
      if (this.#reading.get(request.id) === request) this.#reading.delete(request.id);
    }
  }

  abort(id: string): void {
    this.#reading.delete(id);
    this.#core.abort(id);
  }
}
