import type { Piscina } from 'piscina';

/** An idle thread is kept for so long. */
const idleTimeoutMs = 30_000;
/** Of a thread's heap; a task that needs more ends its thread, and fails alone. */
const heapMegabytesMax = 512;

/**
 * Threads for work that would hold the event loop up. They are started when there is work, which most servers never have, and the
 * library that keeps them is loaded only then. How much may wait for them is their callers' to bound: see `WorkStep`.
 */
export class CpuPool {
  readonly threads: number;
  #pool: Promise<Piscina> | undefined;

  constructor(threads: number) {
    this.threads = threads;
  }

  /** Runs what the file exports by default. Rejects with what it throws, or when its thread ends. */
  async run<T>(file: URL, task: unknown, transferList: readonly ArrayBuffer[] = []): Promise<T> {
    const pool = await (this.#pool ??= this.#open());
    return pool.run(task, { filename: file.href, transferList }) as Promise<T>;
  }

  async #open(): Promise<Piscina> {
    const { Piscina: Pool } = await import('piscina');
    return new Pool({
      minThreads: 0,
      maxThreads: this.threads,
      idleTimeout: idleTimeoutMs,
      concurrentTasksPerWorker: 1,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
      execArgv: [],
    });
  }

  async close(): Promise<void> {
    await (await this.#pool)?.destroy();
  }
}
