/** So many of the last values are looked at, and anew after so many more. */
const kept = 256;
const renewedAfter = 32;

/** A quantile of the last few hundred values. Costs a store for each, and a sort now and then. */
export class RecentQuantile {
  readonly #quantile: number;
  readonly #values = new Float64Array(kept);
  #count = 0;
  #value: number | undefined;

  constructor(quantile: number) {
    this.#quantile = quantile;
  }

  add(value: number): void {
    this.#values[this.#count % kept] = value;
    this.#count += 1;
    if (this.#count % renewedAfter === 0) this.#renew();
  }

  /** Undefined while too little is known. */
  get value(): number | undefined {
    return this.#value;
  }

  #renew(): void {
    const sorted = this.#values.slice(0, Math.min(this.#count, kept)).sort();
    this.#value = sorted[Math.ceil(this.#quantile * sorted.length) - 1];
  }
}
