import type { EmbeddingAnswer, EmbeddingEngine, EmbeddingModelInfo, EmbeddingRequest, EngineStatus } from '@open-autoglm/protocol';
import type { BatchCost } from './batch-costs.ts';
import { TextBatcher, type TextBatcherOptions } from './text-batcher.ts';

/** Another server's embeddings, in batches. */
export class BatchedEmbeddings implements EmbeddingEngine {
  readonly #engine: EmbeddingEngine;
  readonly #batcher: TextBatcher<EmbeddingRequest, EmbeddingAnswer>;

  constructor(engine: EmbeddingEngine, options: TextBatcherOptions) {
    this.#engine = engine;
    this.#batcher = new TextBatcher(
      {
        name: engine.name,
        field: 'input',
        ask: (request, signal) => engine.embed(request, signal),
        commonOf: ({ dimensions, truncate }) => [dimensions, truncate],
        slice: ({ vectors, promptTokens, times }, begin, end) => ({ vectors: vectors.slice(begin, end), promptTokens, times }),
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

  /** As it was learnt; undefined while it is not known. */
  get cost(): BatchCost | undefined {
    return this.#batcher.cost;
  }

  ready(signal?: AbortSignal): Promise<EmbeddingModelInfo | undefined> {
    return this.#engine.ready(signal);
  }

  embed(request: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingAnswer> {
    return this.#batcher.ask(request, signal);
  }

  async close(): Promise<void> {
    this.#batcher.close();
    await this.#engine.close();
  }
}
