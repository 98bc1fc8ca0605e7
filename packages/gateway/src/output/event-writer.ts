import type { ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';

/** Text held back to be joined with what else comes in the same tick, in characters. */
const joinedLimit = 16 * 1024;
/** A reader that takes nothing for this long has gone, whatever its connection says. */
const stallTimeoutMs = 60_000;

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
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        this.#response.off('drain', onDrain);
        this.#signal.removeEventListener('abort', onAbort);
        end();
      };
      const onDrain = () => settle(resolve);
      const onAbort = () => settle(() => reject(this.#signal.reason as Error));
      const onStall = () => settle(() => reject(new AutoglmError('client_closed_request', `The client read nothing for ${stallTimeoutMs} ms.`)));
      const timer = setTimeout(onStall, stallTimeoutMs);
      this.#response.once('drain', onDrain);
      this.#signal.addEventListener('abort', onAbort, { once: true });
      if (this.#signal.aborted) onAbort();
    });
  }
}
