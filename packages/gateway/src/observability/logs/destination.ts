import { constants, fstat as fstatCallback, write as writeCallback, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** The descriptor 1 or 2 of this process, or a file. */
export type Target = { readonly descriptor: 1 | 2 } | { readonly path: string };

const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;
const fstat = promisify(fstatCallback);
const write = promisify(writeCallback);

/** Between two tries; the first is soon, for a reader that is only slow. */
const firstWaitMs = 5;
const lastWaitMs = 200;

/**
 * Writes to a place that may be slow, full or absent for a while: it tries until all is written. Nothing is opened in a way
 * that could block, so a FIFO without a reader or with one that does not read holds no thread, and the process can end.
 */
export class Destination {
  readonly #target: Target;
  readonly #rotationCheckMs: number;
  #descriptor: number | undefined;
  #handle: FileHandle | undefined;
  #checkedAtMs = 0;

  /** `rotationCheckMs`: how often it is looked whether the file was moved away to make room for a new one. */
  constructor(target: Target, { rotationCheckMs = 1000 } = {}) {
    this.#target = target;
    this.#rotationCheckMs = rotationCheckMs;
  }

  /** Resolves when all is written, however long that takes. */
  async write(bytes: Buffer): Promise<void> {
    let rest = bytes;
    let waitMs = firstWaitMs;
    while (rest.length > 0) {
      try {
        const { bytesWritten } = await write(await this.#open(), rest);
        rest = rest.subarray(bytesWritten);
        waitMs = firstWaitMs;
      } catch (error) {
        // EAGAIN is a full pipe. After any other error the file may have to be opened anew: a reader that left, a disk that came back.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') await this.close();
        await sleep(waitMs);
        waitMs = Math.min(waitMs * 2, lastWaitMs);
      }
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#descriptor = undefined;
    await handle?.close().catch(() => {});
  }

  async #open(): Promise<number> {
    if ('path' in this.#target) await this.#leaveMovedFile(this.#target.path);
    if (this.#descriptor !== undefined) return this.#descriptor;
    if ('descriptor' in this.#target) return this.#openDescriptor(this.#target.descriptor);
    return this.#hold(await openLog(this.#target.path));
  }

  /**
   * A pipe or a terminal is opened a second time, not to block there: to change the descriptor itself would change it for
   * every process that shares it. A file is written through the descriptor, whose place in it is shared.
   */
  async #openDescriptor(descriptor: 1 | 2): Promise<number> {
    const stats = await fstat(descriptor);
    if (stats.isFIFO() || stats.isCharacterDevice()) {
      const again = await open(`/proc/self/fd/${descriptor}`, O_WRONLY | O_NONBLOCK | O_NOCTTY).catch(() => undefined);
      if (again) return this.#hold(again);
    }
    return (this.#descriptor = descriptor);
  }

  #hold(handle: FileHandle): number {
    this.#handle = handle;
    return (this.#descriptor = handle.fd);
  }

  async #leaveMovedFile(path: string): Promise<void> {
    const nowMs = performance.now();
    if (!this.#handle || nowMs - this.#checkedAtMs < this.#rotationCheckMs) return;
    this.#checkedAtMs = nowMs;
    const [held, there] = await Promise.all([this.#handle.stat(), stat(path).catch(() => undefined)]);
    if (!isSameFile(held, there)) await this.close();
  }
}

/** Opens a log file to append to it, without waiting for a reader where it is a FIFO. */
export function openLog(path: string): Promise<FileHandle> {
  return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
}

function isSameFile(a: Stats, b: Stats | undefined): boolean {
  return a.ino === b?.ino && a.dev === b.dev;
}
