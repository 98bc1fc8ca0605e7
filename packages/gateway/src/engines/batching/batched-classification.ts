import type { ClassificationAnswer, ClassificationEngine, ClassificationRequest, EngineStatus } from '@open-autoglm/protocol';
import { TextBatcher, type TextBatcherOptions } from './text-batcher.ts';

/** Another server's classifier, in batches. */
export class BatchedClassification implements ClassificationEngine {
  readonly #engine: ClassificationEngine;
  readonly #batcher: TextBatcher<ClassificationRequest, ClassificationAnswer>;

  constructor(engine: ClassificationEngine, options: TextBatcherOptions) {
    this.#engine = engine;
    this.#batcher = new TextBatcher(
      {
        name: engine.name,
        field: 'input',
        ask: (request, signal) => engine.classify(request, signal),
        commonOf: () => null,
        slice: ({ classifications, promptTokens }, begin, end) => ({ classifications: classifications.slice(begin, end), promptTokens }),
      },
      options,
    );
  }

  get name(): string {
    return this.#engine.name;
  }

  get status(): EngineStatus {
    return this.#engine.status;
  }

  classify(request: ClassificationRequest, signal: AbortSignal): Promise<ClassificationAnswer> {
    return this.#batcher.ask(request, signal);
  }

  async close(): Promise<void> {
    this.#batcher.close();
    await this.#engine.close();
  }
}
