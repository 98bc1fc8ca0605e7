import type { StreamPart } from '@open-autoglm/protocol';
import type { AnswerSlot } from './answer-store.ts';

/** Nobody waits for it, so nobody ends it by leaving. */
const durationMsMax = 120_000;
/** After a failure the old answer is given for so long without another try. */
const retryMs = 5000;

/** Answers that are computed anew while the old ones are still given: one at a time for each, and so many in all. */
export class Refreshes {
  readonly #max: number;
  readonly #now: () => number;
  readonly #closed = new AbortController();
  #running = 0;
  begun = 0;
  failed = 0;
  /** There were as many already. */
  skipped = 0;

  constructor(max: number, now: () => number) {
    this.#max = max;
    this.#now = now;
  }

  begin(slot: AnswerSlot, compute: (signal: AbortSignal) => AsyncIterable<StreamPart>): void {
    if (this.#closed.signal.aborted || this.#now() < slot.refreshAfterMs) return;
    if (this.#running >= this.#max) {
      this.skipped += 1;
      return;
    }
    slot.refreshAfterMs = this.#now() + retryMs;
    this.#running += 1;
    this.begun += 1;
    void this.#run(compute).finally(() => (this.#running -= 1));
  }

  close(): void {
    this.#closed.abort(new Error('the cache was closed'));
  }

  async #run(compute: (signal: AbortSignal) => AsyncIterable<StreamPart>): Promise<void> {
    try {
      const parts = compute(AbortSignal.any([this.#closed.signal, AbortSignal.timeout(durationMsMax)]))[Symbol.asyncIterator]();
      while (!(await parts.next()).done);
    } catch {
      // The old answer stays until its end; then somebody asks for a new one and hears what is wrong.
      this.failed += 1;
    }
  }
}
