import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

/** ggml's threads spin for some milliseconds after their last work; they must not run into the next measurement. */
const quietMs = 30;
/** A hypervisor that packs idle virtual cores onto one real core was seen to take 100 ms of load to give them their own again. */
const busyMs = 200;

/**
 * Puts the machine into the same state before every measurement: nobody computes any more, and every core is awake. Without it
 * whoever is measured first after a pause runs its threads in turns on one core, at half the speed.
 */
export class CoreWaker {
  readonly #workers: readonly Worker[];

  constructor(cores = availableParallelism()) {
    this.#workers = Array.from({ length: cores }, () => new Worker(new URL('./wake-cores-worker.ts', import.meta.url)));
    for (const worker of this.#workers) worker.unref();
  }

  async wake(): Promise<void> {
    await sleep(quietMs);
    const done = this.#workers.map((worker) => once(worker, 'message'));
    for (const worker of this.#workers) worker.postMessage(busyMs);
    await Promise.all(done);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
