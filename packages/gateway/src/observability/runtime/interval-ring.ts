/** The most recent intervals, in order of their ends, at most so many. */
export class IntervalRing {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  #next = 0;

  constructor(capacity: number) {
    this.#starts = new Float64Array(capacity);
    this.#ends = new Float64Array(capacity);
  }

  add(start: number, end: number): void {
    this.#starts[this.#next] = start;
    this.#ends[this.#next] = end;
    this.#next = (this.#next + 1) % this.#starts.length;
  }

  /** How much of `from` … `to` they cover. */
  overlap(from: number, to: number): number {
    let sum = 0;
    for (let index = 0; index < this.#starts.length; index += 1) {
      sum += Math.max(0, Math.min(to, this.#ends[index] as number) - Math.max(from, this.#starts[index] as number));
    }
    return sum;
  }
}
