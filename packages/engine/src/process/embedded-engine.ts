import {
  AutoglmError,
  type Engine,
  type EngineStats,
  type GeneratePart,
  type GenerateRequest,
  type ModelInfo,
  type Prompt,
  type PromptSegment,
} from '@open-autoglm/protocol';
import type { EngineCommand, EngineProcessOptions, EngineReport } from './messages.ts';
import { onClock, toMachineMs } from './machine-clock.ts';
import { PartQueue } from './part-queue.ts';
import { SupervisedProcess, type SupervisedStatus } from './supervised-process.ts';
import { fromWire } from './wire-error.ts';

/** The engine's status, with how far a conversion has come. */
export type EmbeddedEngineStatus = SupervisedStatus;

export interface SupervisionOptions {
  readonly onStatus?: (status: EmbeddedEngineStatus) => void;
  /** Silence of the process after which a running request counts as hung and the process is ended. */
  readonly stallTimeoutMs?: number;
}

/**
 * The embedded engine, seen from the gateway: a child process under supervision. When it dies, running requests end
 * with `engine_crashed` and it is started again; when its model cannot be loaded, it stays `failed` and says why.
 */
export class EmbeddedEngine implements Engine {
  readonly name = 'embedded';
  readonly #process: SupervisedProcess<ModelInfo, EngineCommand, EngineReport>;
  readonly #running = new Map<string, PartQueue>();
  readonly #tokenizing = new Map<number, PromiseWithResolvers<number[]>>();
  #stats: EngineStats | undefined;
  #calls = 0;

  constructor(options: EngineProcessOptions, { onStatus, stallTimeoutMs }: SupervisionOptions = {}) {
    this.#process = new SupervisedProcess({
      title: 'The engine process',
      entry: 'main',
      start: { type: 'start', options },
      onReport: (report) => this.#take(report),
      // Statistics come from a timer: they do not show that the work goes on.
      isSignOfLife: ({ type }) => type !== 'stats',
      onFailure: (error) => this.#fail(error),
      onStatus,
      stallTimeoutMs,
    });
  }

  get status(): EmbeddedEngineStatus {
    return this.#process.status;
  }

  /** Of the process that runs now; absent until it is ready. */
  get stats(): EngineStats | undefined {
    return this.#stats;
  }

  /** Of the engine process; absent while there is none. */
  get processId(): number | undefined {
    return this.#process.processId;
  }

  ready(signal?: AbortSignal): Promise<ModelInfo> {
    return this.#process.ready(signal);
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GeneratePart> {
    signal.throwIfAborted();
    const { state, detail } = this.#process.status;
    if (state !== 'ready') throw new AutoglmError('engine_unavailable', detail, { retryAfterSeconds: 1 });
    if (this.#running.has(request.id)) throw new Error(`a request with the id ${request.id} is running`);
    const queue = new PartQueue();
    const leave = () => this.#process.send({ type: 'abort', id: request.id });
    // At once: a reader that waits elsewhere, for its client, comes to the end of this much later, or never.
    const abort = () => {
      queue.abort(signal.reason);
      leave();
      this.#tellBusy();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#running.set(request.id, queue);
    this.#process.send({ type: 'generate', request: onClock(request, toMachineMs) });
    this.#tellBusy();
    try {
      yield* queue;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#running.delete(request.id);
      if (!queue.hasEnded) leave();
      this.#tellBusy();
    }
  }

  tokenize(prompt: Prompt, signal?: AbortSignal): Promise<number[]> {
    return this.#askTokenizer((call) => ({ type: 'tokenize', call, prompt }), signal);
  }

  countTokens(segments: readonly PromptSegment[], signal?: AbortSignal): Promise<readonly number[]> {
    return this.#askTokenizer((call) => ({ type: 'count-tokens', call, segments }), signal);
  }

  close(): Promise<void> {
    return this.#process.close();
  }

  async #askTokenizer(command: (call: number) => EngineCommand, signal?: AbortSignal): Promise<number[]> {
    await this.#process.ready(signal);
    signal?.throwIfAborted();
    const call = (this.#calls += 1);
    const answer = Promise.withResolvers<number[]>();
    this.#tokenizing.set(call, answer);
    this.#process.send(command(call));
    this.#tellBusy();
    const leave = () => {
      answer.reject(signal?.reason);
      this.#process.send({ type: 'leave-call', call });
    };
    signal?.addEventListener('abort', leave, { once: true });
    try {
      return await answer.promise;
    } finally {
      signal?.removeEventListener('abort', leave);
      this.#tokenizing.delete(call);
      this.#tellBusy();
    }
  }

  /**
   * Whoever waits for an answer, of whatever kind, must learn of it when the process hangs; one that has ended is waited for by nobody,
   * read or not.
   */
  #tellBusy(): void {
    this.#process.setBusy(this.#tokenizing.size > 0 || [...this.#running.values()].some(({ hasEnded }) => !hasEnded));
  }

  #take(report: EngineReport): void {
    switch (report.type) {
      case 'parts':
        for (const { id, part } of report.outputs) this.#running.get(id)?.push(part);
        if (report.outputs.some(({ part }) => part.type === 'text-end')) this.#tellBusy();
        break;
      case 'stats':
        this.#stats = report.stats;
        break;
      case 'error':
        this.#running.get(report.id)?.fail(fromWire(report.error));
        this.#tellBusy();
        break;
      case 'tokens':
        this.#tokenizing.get(report.call)?.resolve([...report.tokens]);
        break;
      case 'token-counts':
        this.#tokenizing.get(report.call)?.resolve([...report.counts]);
        break;
      case 'tokenize-error':
        this.#tokenizing.get(report.call)?.reject(fromWire(report.error));
        break;
    }
  }

  #fail(error: AutoglmError): void {
    this.#stats = undefined;
    for (const queue of this.#running.values()) queue.fail(error);
    for (const call of this.#tokenizing.values()) call.reject(error);
    this.#tellBusy();
  }
}
