import { logBytes } from './fact-log.ts';

/** Of logs that the other thread has not read, in the worst case: it reads too slowly, or stands still. */
export const unreadBytesMax = 64 * logBytes;

export function unreadCell(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

/**
 * How much of the logs is on its way, counted by both threads in one cell: the writer's adds, the reader's subtracts. In bytes, not in
 * logs: one is posted ten times a second however little is in it, and a reader that stands still for seconds has not filled the memory
 * by that.
 */
export class UnreadLogs {
  readonly #cell: Int32Array<SharedArrayBuffer>;

  constructor(cell: Int32Array<SharedArrayBuffer>) {
    this.#cell = cell;
  }

  hasRoomFor(bytes: number): boolean {
    return Atomics.load(this.#cell, 0) + bytes <= unreadBytesMax;
  }

  /** Blocks the thread until there is room. */
  add(bytes: number): void {
    // The value that was found too large is the one waited on: what is read between the two calls is not missed.
    for (let unread = Atomics.load(this.#cell, 0); unread + bytes > unreadBytesMax; unread = Atomics.load(this.#cell, 0))
      Atomics.wait(this.#cell, 0, unread);
    Atomics.add(this.#cell, 0, bytes);
  }

  read(bytes: number): void {
    Atomics.sub(this.#cell, 0, bytes);
    Atomics.notify(this.#cell, 0);
  }
}
