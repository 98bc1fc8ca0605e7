import {
  AutoglmError,
  type EmbeddingAnswer,
  type EmbeddingEngine,
  type EmbeddingModelInfo,
  type EmbeddingRequest,
} from '@open-autoglm/protocol';
import type { FinishedRequest } from '../encoder/embedding-core.ts';
import type { EmbeddingCommand, EmbeddingProcessOptions, EmbeddingReport } from './embedding-messages.ts';
import { SupervisedProcess, type SupervisedStatus } from './supervised-process.ts';
import { fromWire } from './wire-error.ts';

export interface EmbeddingSupervision {
  readonly onStatus?: (status: SupervisedStatus) => void;
  /** Silence of the process after which a running request counts as hung and the process is ended. */
  readonly stallTimeoutMs?: number;
}

/** The embedding engine, seen from the gateway: a child process under supervision, of its own beside the one that generates. */
export class EmbeddedEmbeddings implements EmbeddingEngine {
  readonly name: string;
  readonly #process: SupervisedProcess<EmbeddingModelInfo, EmbeddingCommand, EmbeddingReport>;
  readonly #running = new Map<string, PromiseWithResolvers<FinishedRequest>>();

  constructor(options: EmbeddingProcessOptions, { onStatus, stallTimeoutMs }: EmbeddingSupervision = {}) {
    this.name = 'embeddings';
    this.#process = new SupervisedProcess({
      title: 'The embedding process',
      entry: 'embedding-main',
      // Typed arrays cross as they are.
      serialization: 'advanced',
      start: { type: 'start', options },
      onReport: (report) => this.#take(report),
      onFailure: (error) => {
        for (const { reject } of this.#running.values()) reject(error);
      },
      onStatus,
      stallTimeoutMs,
    });
  }

  get status(): SupervisedStatus {
    return this.#process.status;
  }

  /** Of the embedding process; absent while there is none. */
  get processId(): number | undefined {
    return this.#process.processId;
  }

  ready(signal?: AbortSignal): Promise<EmbeddingModelInfo> {
    return this.#process.ready(signal);
  }

  async embed({ id, inputs, dimensions, truncate, lane }: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingAnswer> {
    signal.throwIfAborted();
    const { state, detail } = this.#process.status;
    if (state !== 'ready') throw new AutoglmError('engine_unavailable', detail, { retryAfterSeconds: 1 });
    if (this.#running.has(id)) throw new Error(`a request with the id ${id} is running`);
    const answer = Promise.withResolvers<FinishedRequest>();
    const abort = () => {
      answer.reject(signal.reason);
      this.#process.send({ type: 'abort', id });
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#running.set(id, answer);
    this.#process.send({ type: 'embed', request: { id, inputs, dimensions, truncate, lane } });
    this.#process.setBusy(true);
    try {
      const { vectors, tokenCounts, queueMs, computeMs } = await answer.promise;
      const length = vectors.length / inputs.length;
      return {
        vectors: inputs.map((_, index) => vectors.subarray(index * length, (index + 1) * length)),
        promptTokens: tokenCounts.reduce((sum, count) => sum + count, 0),
        tokenCounts,
        times: { queueMs, computeMs },
      };
    } finally {
      signal.removeEventListener('abort', abort);
      this.#running.delete(id);
      this.#process.setBusy(this.#running.size > 0);
    }
  }

  close(): Promise<void> {
    return this.#process.close();
  }

  #take(report: EmbeddingReport): void {
    if (report.type === 'vectors') this.#running.get(report.finished.id)?.resolve(report.finished);
    else if (report.type === 'error') this.#running.get(report.id)?.reject(fromWire(report.error));
  }
}
