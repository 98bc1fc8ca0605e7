/** Values that a new one weighs no less than this much against. */
const memory = 64;

/**
 * The median of a stream in three numbers: each value moves the estimate a step towards itself, a step that shrinks to a
 * fraction of the mean deviation. That is stochastic gradient descent on the quantile's loss, as in frugal streaming (Ma,
 * Muthukrishnan, Sandler 2013) with a step in the data's own scale. One outlier moves it by a step, however far out it is;
 * after a lasting change it arrives within some `memory` values.
 */
export class StreamingMedian {
  count = 0;
  value = 0;
  /** Mean distance of the values from the median. */
  deviation = 0;

  add(value: number): void {
    this.count += 1;
    if (this.count === 1) {
      this.value = value;
      return;
    }
    const rate = 1 / Math.min(this.count, memory);
    const error = value - this.value;
    this.deviation += (Math.abs(error) - this.deviation) * rate;
    const step = Math.min(Math.abs(error), 2 * this.deviation * rate);
    this.value += Math.sign(error) * step;
  }
}
