import { Worker } from 'node:worker_threads';
import type { DropCounter } from '../sinks/drop-counter.ts';
import { LineBuffer } from './line-buffer.ts';
import type { LogWorkerAnswer, LogWorkerData, LogWorkerMessage } from './log-worker.ts';

export interface LogPipeOptions {
  readonly worker: LogWorkerData;
  /** Bytes of lines that wait; more are dropped. One chunk is under way to the worker besides. */
  readonly lengthMax?: number;
}

/** How long a line may wait for others: a message to the worker costs as much as writing ten lines. */
const gatherMs = 20;

/**
 * Lines on their way to the worker that writes them. One message is under way at a time and the next is sent when it was
 * written, so that what the destination does not take waits here, where it is bounded, and never in between. pino's own
 * transport keeps any number of lines, and blocks the process when it ends before they are written.
 */
export class LogPipe {
  readonly #worker: Worker;
  readonly #drops: DropCounter;
  readonly #lengthMax: number;
  readonly #lines: LineBuffer;
  #linesUnderWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #isDead = false;
  #onIdle = () => {};

  constructor({ worker, lengthMax = 4 * 1024 * 1024 }: LogPipeOptions, drops: DropCounter) {
    this.#drops = drops;
    this.#lengthMax = lengthMax;
    this.#lines = new LineBuffer(lengthMax);
    const file = import.meta.url.endsWith('.ts') ? './log-worker.ts' : './log-worker.js';
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: worker, execArgv: [], name: 'log' });
    this.#worker.unref();
    this.#worker.on('message', (answer: LogWorkerAnswer) => this.#onWritten(answer));
    this.#worker.on('error', () => this.#onDead());
    this.#worker.on('exit', () => this.#onDead());
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#lines.length;
  }

  /** Takes a line with its end; what there is no room for is dropped. */
  write(line: string): void {
    if (this.#isDead || !this.#lines.push(line)) return this.#drops.add(1, 'the destination does not take them');
    if (this.#linesUnderWay === 0) this.#timer ??= setTimeout(() => this.#send(), gatherMs).unref();
  }

  /** Writes what waits, within this time; what is left then is dropped. Takes nothing more. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#isDead) return;
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, timeoutMs);
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#send();
    await Promise.race([idle, timeout.promise]);
    this.#isDead = true;
    this.#forget();
    // A thread that waits for its disk does not end; this does.
    await Promise.race([this.#worker.terminate(), timeout.promise]);
    clearTimeout(timer);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#linesUnderWay > 0) return;
    const chunk = this.#lines.shift();
    if (!chunk) return this.#onIdle();
    this.#linesUnderWay = chunk.lineCount;
    const { buffer } = chunk.bytes;
    this.#worker.postMessage({ buffer, length: chunk.length } satisfies LogWorkerMessage, [buffer]);
  }

  #onWritten({ buffer }: LogWorkerAnswer): void {
    this.#linesUnderWay = 0;
    this.#lines.recycle(buffer);
    // What is told of the lost lines is a line itself, and must find room.
    if (this.#lines.length <= this.#lengthMax / 2) this.#drops.flows();
    this.#send();
  }

  #onDead(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#forget();
    this.#onIdle();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    const lost = this.#lines.clear() + this.#linesUnderWay;
    if (lost > 0) this.#drops.add(lost, 'the log was closed before they were written');
    this.#linesUnderWay = 0;
  }
}
