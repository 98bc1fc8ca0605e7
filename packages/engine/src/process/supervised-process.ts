import { fork, type ChildProcess, type SerializationType } from 'node:child_process';
import { existsSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoglmError, type EngineState, type EngineStatus } from '@open-autoglm/protocol';
import type { WireError } from './messages.ts';
import { fromWire } from './wire-error.ts';

/** A process's status, with how far a conversion has come. */
export interface SupervisedStatus extends EngineStatus {
  /** 0 … 1 while the model is being prepared. */
  readonly progress?: number;
}

/** What every such process reports beside its own. */
type CommonReport<Model> =
  | { readonly type: 'progress'; readonly phase: string; readonly fraction: number }
  | { readonly type: 'ready'; readonly model: Model; readonly notice: string | undefined }
  | { readonly type: 'failed'; readonly error: WireError };

export interface SupervisedProcessOptions<Command, Report> {
  /** For people, as the subject of a sentence: `The engine process`. */
  readonly title: string;
  /** The module that it runs, beside this one and without its suffix. */
  readonly entry: string;
  readonly serialization?: SerializationType;
  /** Sent first to each process. */
  readonly start: Command;
  readonly onReport: (report: Report) => void;
  /** Whether a report shows that the work goes on; each does when not given. */
  readonly isSignOfLife?: (report: Report) => boolean;
  /** Everything that runs ends with this. */
  readonly onFailure: (error: AutoglmError) => void;
  readonly onStatus?: ((status: SupervisedStatus) => void) | undefined;
  /** Silence while it is busy after which it counts as hung and is ended. */
  readonly stallTimeoutMs?: number | undefined;
}

/** Crashes in a row, without being ready in between, after which it stays down. */
const restartLimit = 5;
const firstRestartDelayMs = 100;
const defaultStallTimeoutMs = 120_000;
/** Of the watchdog, in the stall timeout. */
const watchdogTurns = 4;
/** For a process that is still preparing its model: to end what it began, such as npm's download, and to remove what that left. */
const closeGraceMs = 2000;
/** Of what the process wrote before it died, kept for the message. */
const stderrLimit = 2000;

/** A child process that is started again when it dies, and ended when it hangs; one that cannot load its model stays down and says why. */
export class SupervisedProcess<
  Model extends { readonly source: string },
  Command extends object,
  Report extends { readonly type: string },
> {
  readonly #options: SupervisedProcessOptions<Command, Report>;
  #status: SupervisedStatus;
  #child: ChildProcess | undefined;
  #stderr = '';
  #readiness = deferred<Model>();
  #crashesInARow = 0;
  #restart: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  /** Turns of the watchdog since it last said something. */
  #silentTurns = 0;

  constructor(options: SupervisedProcessOptions<Command, Report>) {
    this.#options = options;
    this.#status = { state: 'starting', detail: `${options.title} is starting.` };
    this.#spawn();
  }

  get status(): SupervisedStatus {
    return this.#status;
  }

  /** Absent while there is none. */
  get processId(): number | undefined {
    return this.#child?.pid;
  }

  async ready(signal?: AbortSignal): Promise<Model> {
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

  send(command: Command): void {
    // A process that is gone needs no command, and its exit is handled where it is seen.
    if (this.#child?.connected) this.#child.send(command, () => {});
  }

  /** Told whether it has something to do: only then its silence means that it hangs. */
  setBusy(isBusy: boolean): void {
    if (!isBusy) {
      clearInterval(this.#watchdog);
      this.#watchdog = undefined;
    } else if (!this.#watchdog) {
      const timeout = this.#options.stallTimeoutMs ?? defaultStallTimeoutMs;
      this.#silentTurns = 0;
      // Counted in turns, not by the clock: while this process itself was stopped or busy, it read nothing of what was said.
      this.#watchdog = setInterval(() => {
        this.#silentTurns += 1;
        // One that is being started has nothing to do, and says little.
        if (this.#status.state === 'ready' && this.#silentTurns > watchdogTurns) this.#child?.kill('SIGKILL');
      }, timeout / watchdogTurns);
    }
  }

  async close(): Promise<void> {
    if (this.#status.state === 'closed') return;
    clearTimeout(this.#restart);
    const isPreparing = this.#status.state === 'starting' || this.#status.state === 'restarting';
    this.#setStatus('closed', 'The engine is closed.');
    const closed = new AutoglmError('engine_unavailable', 'The engine was closed.');
    this.#readiness.reject(closed);
    this.#options.onFailure(closed);
    const child = this.#child;
    if (!child || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    // Once it is ready, it holds nothing that is worth a slower end.
    if (!isPreparing) child.kill('SIGKILL');
    else if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), closeGraceMs);
    await exited;
    clearTimeout(timer);
  }

  #spawn(): void {
    const { entry, serialization = 'json', start } = this.#options;
    this.#stderr = '';
    let child: ChildProcess;
    try {
      child = fork(entryPoint(entry), [], {
        execArgv: [],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        serialization,
        env: { ...process.env, ...compileCache() },
      });
    } catch (error) {
      // Told later, as every other end is: whoever starts the first process is still being constructed.
      setImmediate(() => this.#onEnd(undefined, (error as Error).message));
      return;
    }
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrLimit);
    });
    child.on('message', (report) => this.#take(report as CommonReport<Model>));
    child.on('error', (error) => {
      // One that never ran has no exit.
      if (child.pid === undefined) this.#onEnd(child, error.message);
      else this.#stderr += error.message;
    });
    child.once('exit', (code, signal) => this.#onEnd(child, signal ?? `exit code ${code}`));
    this.send(start);
  }

  #take(report: CommonReport<Model>): void {
    // What it had said before it was killed: a late "ready" would make its end look like a crash, and start it again.
    if (this.#status.state === 'closed') return;
    if (this.#options.isSignOfLife?.(report as unknown as Report) ?? true) this.#silentTurns = 0;
    switch (report.type) {
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
      default:
        this.#options.onReport(report satisfies never as Report);
    }
  }

  /** Once for each that was started, or could not be. */
  #onEnd(child: ChildProcess | undefined, reason: string): void {
    if (this.#child !== child) return;
    const { title, onFailure } = this.#options;
    this.#child = undefined;
    if (this.#status.state === 'closed' || this.#status.state === 'failed') return;
    const lastWords = this.#stderr.trim().split('\n').at(-1);
    // Who was killed could say nothing of it.
    const cause = lastWords && reason !== 'SIGKILL' ? `${reason}: ${lastWords}` : reason;
    onFailure(
      new AutoglmError('engine_crashed', `${title} ended unexpectedly (${reason}); the answer is incomplete. It is being restarted.`),
    );
    if (this.#status.state === 'ready') this.#readiness = deferred<Model>();
    this.#crashesInARow += 1;
    if (this.#crashesInARow > restartLimit) {
      this.#giveUp(new AutoglmError('engine_failed', `${title} ended ${this.#crashesInARow} times in a row (${cause}).`));
      return;
    }
    this.#setStatus('restarting', `${title} ended (${cause}) and is being restarted.`);
    this.#restart = setTimeout(() => this.#spawn(), firstRestartDelayMs * 2 ** (this.#crashesInARow - 1));
  }

  #giveUp(error: AutoglmError): void {
    this.#setStatus('failed', error.message);
    this.#readiness.reject(error);
    this.#options.onFailure(error);
    this.#child?.kill('SIGKILL');
  }

  #setStatus(state: EngineState, detail: string, progress?: number): void {
    this.#status = { state, detail, ...(progress !== undefined && { progress }) };
    this.#options.onStatus?.(this.#status);
  }
}

/** A promise whose rejection nobody needs to have waited for. */
function deferred<T>(): PromiseWithResolvers<T> {
  const made = Promise.withResolvers<T>();
  made.promise.catch(() => {});
  return made;
}

/** TypeScript in the workspace, JavaScript in a published package. */
function entryPoint(name: string): string {
  const [source, built] = [`./${name}.ts`, `./${name}.js`].map((file) => fileURLToPath(new URL(file, import.meta.url))) as [string, string];
  return existsSync(source) ? source : built;
}

/**
 * A process that finds its modules compiled need not load what strips their types: 30 MB less, and ready half a second sooner. Node keeps
 * them in a folder for each of its versions within the one that it is told.
 */
function compileCache(): { readonly NODE_COMPILE_CACHE?: string } {
  const folder = getCompileCacheDir();
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: path.dirname(folder) };
}
