import { AutoglmError } from '@open-autoglm/protocol';
import type { StepMeters } from './step-meter.ts';

/** What became of one item of a batch. */
export type WorkResult<O> = { readonly value: O; readonly bytes: number } | { readonly error: unknown };

export interface WorkStepOptions<I, O> {
  /** Batches that are worked on at once. */
  readonly slots: number;
  /** Items that may wait; one more is refused. */
  readonly waitingMax: number;
  /** How many of these, from the first, make the next batch; at least one. */
  readonly batchSize: (waiting: readonly I[]) => number;
  /** Works on them, one result for each. It may reject: then the whole batch has failed. */
  readonly work: (items: readonly I[]) => Promise<readonly WorkResult<O>[]>;
  readonly meters: Pick<StepMeters, 'buffer' | 'preprocess'>;
  /** What there is too much of, for the error. */
  readonly what: string;
}

interface Waiting<I, O> {
  readonly item: I;
  readonly enteredAtMs: number;
  readonly settle: (result: WorkResult<O>) => void;
}

/**
 * Work that others do, in threads, a batch at a time: what comes while all slots are taken waits, and what waits is taken together. So
 * batches grow with the load, and nothing waits for a batch to fill.
 */
export class WorkStep<I, O> {
  readonly #options: WorkStepOptions<I, O>;
  readonly #waiting: Waiting<I, O>[] = [];
  #running = 0;

  constructor(options: WorkStepOptions<I, O>) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Rejects with `queue_full`, what the work says of this item, or the signal's reason. */
  run(item: I, signal: AbortSignal): Promise<O> {
    const { waitingMax, meters, what } = this.#options;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#waiting.length >= waitingMax) {
        meters.buffer.refuse();
        return reject(
          new AutoglmError('queue_full', `${this.#waiting.length} ${what} are waiting to be worked on already.`, { retryAfterSeconds: 1 }),
        );
      }
      const onAbort = () => {
        const index = this.#waiting.indexOf(waiting);
        if (index !== -1) {
          this.#waiting.splice(index, 1);
          meters.buffer.leave(waiting.enteredAtMs, 'abandoned');
        }
        reject(signal.reason as Error);
      };
      const waiting: Waiting<I, O> = {
        item,
        enteredAtMs: meters.buffer.enter(),
        settle(result) {
          signal.removeEventListener('abort', onAbort);
          if ('error' in result) reject(result.error as Error);
          else resolve(result.value);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#begin();
    });
  }

  #begin(): void {
    const { slots, batchSize, meters } = this.#options;
    while (this.#running < slots && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, Math.max(1, batchSize(this.#waiting.map(({ item }) => item))));
      for (const { enteredAtMs } of batch) meters.buffer.leave(enteredAtMs, 'done');
      this.#running += 1;
      void this.#work(batch);
    }
  }

  async #work(batch: readonly Waiting<I, O>[]): Promise<void> {
    const { work, meters } = this.#options;
    const enteredAtMs = batch.map(() => meters.preprocess.enter());
    const results = await work(batch.map(({ item }) => item)).catch((error: unknown) => batch.map((): WorkResult<O> => ({ error })));
    for (const [index, waiting] of batch.entries()) {
      const result = results[index] ?? { error: new Error('the work has no result for this item') };
      if ('error' in result) meters.preprocess.leave(enteredAtMs[index] as number, 'failed');
      else meters.preprocess.leave(enteredAtMs[index] as number, 'done', result.bytes);
      waiting.settle(result);
    }
    this.#running -= 1;
    this.#begin();
  }
}
