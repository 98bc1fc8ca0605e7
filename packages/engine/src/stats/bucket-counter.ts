import type { BucketCounts } from '@open-autoglm/protocol';

/** A histogram that is only counted up: bounds fixed, one bucket more for what is above them all. */
export class BucketCounter implements BucketCounts {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  /** `bounds` in rising order. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Counts a value, `times` over. */
  add(value: number, times = 1): void {
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index += 1;
    (this.counts[index] as number) += times;
    this.sum += value * times;
  }
}
