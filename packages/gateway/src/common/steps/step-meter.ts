import type { BucketCounts } from '@open-autoglm/protocol';

/** The steps of what comes in, in their order. */
export type StepName = 'collect' | 'buffer' | 'preprocess' | 'hand_over';

/** How something left a step: done with; wrong in itself; refused because too many were there; its client left. */
export type StepEnd = 'done' | 'failed' | 'refused' | 'abandoned';

/** One step, as it is now and since the start. */
export interface StepReading {
  readonly step: StepName;
  /** In the step at this moment. */
  readonly depth: number;
  readonly ended: Readonly<Record<StepEnd, number>>;
  /** Bytes that left it, of what was done with. */
  readonly bytes: number;
  /** Of what was done with, in milliseconds. */
  readonly durationMs: BucketCounts;
}

/** Of the times of all steps, in milliseconds. */
export const stepBoundsMs = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/** Counts what passes a step: how much, how long, and how much is there now. */
export class StepMeter {
  readonly #step: StepName;
  readonly #now: () => number;
  readonly #counts = new Array<number>(stepBoundsMs.length + 1).fill(0);
  readonly #ended: Record<StepEnd, number> = { done: 0, failed: 0, refused: 0, abandoned: 0 };
  #depth = 0;
  #bytes = 0;
  #sumMs = 0;

  /** `now` in milliseconds. */
  constructor(step: StepName, now: () => number = () => performance.now()) {
    this.#step = step;
    this.#now = now;
  }

  /** Something has come; returns when, for `leave`. */
  enter(): number {
    this.#depth += 1;
    return this.#now();
  }

  leave(enteredAtMs: number, end: StepEnd, bytes = 0): void {
    this.#depth -= 1;
    this.#ended[end] += 1;
    if (end !== 'done') return;
    const durationMs = this.#now() - enteredAtMs;
    this.#bytes += bytes;
    this.#sumMs += durationMs;
    let bucket = 0;
    while (bucket < stepBoundsMs.length && durationMs > (stepBoundsMs[bucket] as number)) bucket += 1;
    (this.#counts[bucket] as number) += 1;
  }

  /** Something came and found no place. */
  refuse(): void {
    this.#ended.refused += 1;
  }

  read(): StepReading {
    return {
      step: this.#step,
      depth: this.#depth,
      ended: { ...this.#ended },
      bytes: this.#bytes,
      durationMs: { bounds: stepBoundsMs, counts: [...this.#counts], sum: this.#sumMs },
    };
  }
}

/** One for each step; those who do a part of the work share them. */
export interface StepMeters {
  readonly collect: StepMeter;
  readonly buffer: StepMeter;
  readonly preprocess: StepMeter;
  readonly handOver: StepMeter;
}

export function createStepMeters(): StepMeters {
  return {
    collect: new StepMeter('collect'),
    buffer: new StepMeter('buffer'),
    preprocess: new StepMeter('preprocess'),
    handOver: new StepMeter('hand_over'),
  };
}
