import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AutoglmError, type Engine, type EngineState, type EngineStats, type EngineStatus, type GeneratePart, type GenerateRequest, type ModelInfo, type Prompt } from '@open-autoglm/protocol';
import type { EngineCommand, EngineProcessOptions, EngineReport, WireError } from './messages.ts';
import { PartQueue } from './part-queue.ts';

/** The engine's status, with how far a conversion has come. */
export interface EmbeddedEngineStatus extends EngineStatus {
  /** 0 … 1 while the model is being prepared. */
  readonly progress?: number;
}

export interface SupervisionOptions {
  readonly onStatus?: (status: EmbeddedEngineStatus) => void;
  /** Silence of the process after which a running request counts as hung and the process is ended. */
  readonly stallTimeoutMs?: number;
}

/** Crashes in a row, without being ready in between, after which the engine stays down. */
const restartLimit = 5;
const firstRestartDelayMs = 100;
const defaultStallTimeoutMs = 120_000;
/** Of what the process wrote before it died, kept for the message. */
const stderrLimit = 2000;

/**
 * The embedded engine, seen from the gateway: a child process under supervision. When it dies, running requests end
 * with `engine_crashed` and it is started again; when its model cannot be loaded, it stays `failed` and says why.
 */
export class EmbeddedEngine implements Engine {
  readonly name = 'embedded';
  readonly #options: EngineProcessOptions;
  readonly #supervision: SupervisionOptions;
  readonly #running = new Map<string, PartQueue>();
  readonly #tokenizing = new Map<number, PromiseWithResolvers<number[]>>();
  #stats: EngineStats | undefined;
  #status: EmbeddedEngineStatus = { state: 'starting', detail: 'The engine process is starting.' };
  #child: ChildProcess | undefined;
  #stderr = '';
  #readiness = deferred<ModelInfo>();
  #crashesInARow = 0;
  #restart: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #lastReportAt = 0;
  #calls = 0;

  constructor(options: EngineProcessOptions, supervision: SupervisionOptions = {}) {
    this.#options = options;
    this.#supervision = supervision;
    this.#spawn();
  }

  get status(): EmbeddedEngineStatus {
    return this.#status;
  }

  /** Of the process that runs now; absent until it is ready. */
  get stats(): EngineStats | undefined {
    return this.#stats;
  }

  /** Of the engine process; absent while there is none. */
  get processId(): number | undefined {
    return this.#child?.pid;
  }

  async ready(signal?: AbortSignal): Promise<ModelInfo> {
    if (!signal) return this.#readiness.promise;
    signal.throwIfAborted();
    const aborted = deferred<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([this.#readiness.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GeneratePart> {
    signal.throwIfAborted();
    if (this.#status.state !== 'ready') throw new AutoglmError('engine_unavailable', this.#status.detail, { retryAfterSeconds: 1 });
    if (this.#running.has(request.id)) throw new Error(`a request with the id ${request.id} is running`);
    const queue = new PartQueue();
    const abort = () => queue.fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#running.set(request.id, queue);
    this.#send({ type: 'generate', request });
    this.#watch();
    try {
      yield* queue;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#running.delete(request.id);
      this.#send({ type: 'abort', id: request.id });
      this.#watch();
    }
  }

  async tokenize(prompt: Prompt): Promise<number[]> {
    await this.#readiness.promise;
    const call = (this.#calls += 1);
    const answer = deferred<number[]>();
    this.#tokenizing.set(call, answer);
    this.#send({ type: 'tokenize', call, prompt });
    return answer.promise.finally(() => this.#tokenizing.delete(call));
  }

  async close(): Promise<void> {
    if (this.#status.state === 'closed') return;
    clearTimeout(this.#restart);
    this.#setStatus('closed', 'The engine is closed.');
    const closed = new AutoglmError('engine_unavailable', 'The engine was closed.');
    this.#readiness.reject(closed);
    this.#failRunning(closed);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    // It holds nothing that is worth a slower end.
    child.kill('SIGKILL');
    await exited;
  }

  #spawn(): void {
    this.#stderr = '';
    const child = fork(entryPoint(), [], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrLimit);
    });
    child.on('message', (report: EngineReport) => this.#take(report));
    child.on('error', (error) => (this.#stderr += error.message));
    child.once('exit', (code, signal) => this.#onExit(signal ?? `exit code ${code}`));
    this.#send({ type: 'start', options: this.#options });
  }

  #take(report: EngineReport): void {
    // What it had said before it was killed: a late "ready" would make its end look like a crash, and start it again.
    if (this.#status.state === 'closed') return;
    // Statistics come from a timer: they do not show that the work goes on.
    if (report.type !== 'stats') this.#lastReportAt = performance.now();
    switch (report.type) {
      case 'parts':
        for (const { id, part } of report.outputs) this.#running.get(id)?.push(part);
        break;
      case 'stats':
        this.#stats = report.stats;
        break;
      case 'error':
        this.#running.get(report.id)?.fail(fromWire(report.error));
        break;
      case 'tokens':
        this.#tokenizing.get(report.call)?.resolve([...report.tokens]);
        break;
      case 'tokenize-error':
        this.#tokenizing.get(report.call)?.reject(fromWire(report.error));
        break;
      case 'progress':
        this.#setStatus(this.#status.state, `${report.phase} (${Math.round(report.fraction * 100)} %)`, report.fraction);
        break;
      case 'ready':
        this.#crashesInARow = 0;
        this.#setStatus('ready', [`${report.model.source} is ready.`, report.notice].filter(Boolean).join(' '));
        this.#readiness.resolve(report.model);
        break;
      case 'failed':
        this.#giveUp(fromWire(report.error));
        break;
    }
  }

  #onExit(reason: string): void {
    this.#child = undefined;
    this.#stats = undefined;
    if (this.#status.state === 'closed' || this.#status.state === 'failed') return;
    const lastWords = this.#stderr.trim().split('\n').at(-1);
    // Who was killed could say nothing of it.
    const cause = lastWords && reason !== 'SIGKILL' ? `${reason}: ${lastWords}` : reason;
    this.#failRunning(new AutoglmError('engine_crashed', `The engine process ended unexpectedly (${reason}); the answer is incomplete. It is being restarted.`));
    if (this.#status.state === 'ready') this.#readiness = deferred<ModelInfo>();
    this.#crashesInARow += 1;
    if (this.#crashesInARow > restartLimit) {
      this.#giveUp(new AutoglmError('engine_failed', `The engine process ended ${this.#crashesInARow} times in a row (${cause}).`));
      return;
    }
    this.#setStatus('restarting', `The engine process ended (${cause}) and is being restarted.`);
    this.#restart = setTimeout(() => this.#spawn(), firstRestartDelayMs * 2 ** (this.#crashesInARow - 1));
  }

  #giveUp(error: AutoglmError): void {
    this.#setStatus('failed', error.message);
    this.#readiness.reject(error);
    this.#failRunning(error);
    this.#child?.kill('SIGKILL');
  }

  #failRunning(error: AutoglmError): void {
    for (const queue of this.#running.values()) queue.fail(error);
    for (const call of this.#tokenizing.values()) call.reject(error);
  }

  /** Runs the watchdog while something is running, and only then. */
  #watch(): void {
    if (this.#running.size === 0) {
      clearInterval(this.#watchdog);
      this.#watchdog = undefined;
    } else if (!this.#watchdog) {
      const timeout = this.#supervision.stallTimeoutMs ?? defaultStallTimeoutMs;
      this.#lastReportAt = performance.now();
      this.#watchdog = setInterval(() => {
        if (performance.now() - this.#lastReportAt > timeout) this.#child?.kill('SIGKILL');
      }, timeout / 4);
    }
  }

  #send(command: EngineCommand): void {
    // A process that is gone needs no command, and its exit is handled where it is seen.
    if (this.#child?.connected) this.#child.send(command, () => {});
  }

  #setStatus(state: EngineState, detail: string, progress?: number): void {
    this.#status = { state, detail, ...(progress !== undefined && { progress }) };
    this.#supervision.onStatus?.(this.#status);
  }
}

/** A promise whose rejection nobody needs to have waited for. */
function deferred<T>(): PromiseWithResolvers<T> {
  const made = Promise.withResolvers<T>();
  made.promise.catch(() => {});
  return made;
}

function fromWire({ code, message, param, retryAfterSeconds }: WireError): AutoglmError {
  return new AutoglmError(code, message, { param, retryAfterSeconds });
}

/** TypeScript in the workspace, JavaScript in a published package. */
function entryPoint(): string {
  const [source, built] = ['./main.ts', './main.js'].map((name) => fileURLToPath(new URL(name, import.meta.url))) as [string, string];
  return existsSync(source) ? source : built;
}
