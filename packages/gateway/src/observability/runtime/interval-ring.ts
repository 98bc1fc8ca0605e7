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

  /** How much of `from` … `to` they cover. Goes back no further than `from`: under load every request may ask. */
  overlap(from: number, to: number): number {
    const capacity = this.#starts.length;
    let sum = 0;
    for (let back = 1; back <= capacity; back += 1) {
      const index = (this.#next - back + capacity) % capacity;
      const end = this.#ends[index] as number;
      if (end <= from) break;
      sum += Math.max(0, Math.min(to, end) - Math.max(from, this.#starts[index] as number));
    }
    return sum;
  }
}
