import type { ServerResponse } from 'node:http';
import { caughtUp } from '../common/caught-up.ts';

/** What is held back to be joined with what else comes in the same tick, in characters or bytes. */
const joinedLimit = 16 * 1024;

/** Writes events to a response: those of one tick at once, and no faster than the client reads. */
export class EventWriter {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  #pending = '';
  readonly #flushPending = () => this.flush();

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  /** Whether `drained` must be awaited before more is written. */
  get isFull(): boolean {
    return this.#response.writableNeedDrain;
  }

  write(text: string): void {
    if (this.#pending === '') process.nextTick(this.#flushPending);
    this.#pending += text;
    if (this.#pending.length > joinedLimit) this.flush();
  }

  flush(): void {
    if (this.#pending === '') return;
    this.#response.write(this.#pending);
    this.#pending = '';
  }

  /** Resolves when the client has caught up. Rejects with the request's abort reason, or when the client has stalled. */
  drained(): Promise<void> {
    return caughtUp(this.#response, this.#signal);
  }
}

/** As `EventWriter`, for bytes. */
export class ByteWriter {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  readonly #flushPending = () => this.flush();

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  get isFull(): boolean {
    return this.#response.writableNeedDrain;
  }

  write(bytes: Buffer): void {
    if (this.#pendingBytes === 0) process.nextTick(this.#flushPending);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > joinedLimit) this.flush();
  }

  flush(): void {
    if (this.#pendingBytes === 0) return;
    this.#response.write(this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending));
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  drained(): Promise<void> {
    return caughtUp(this.#response, this.#signal);
  }
}
