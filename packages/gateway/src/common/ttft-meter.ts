/** What requests had to wait for their first token lately. */
export interface TtftReading {
  /** In milliseconds; undefined before the first request. */
  read(model: string): number | undefined;
}

/** Of a new reading in the average: about the last ten requests count. */
const weight = 0.2;
/** Names are bounded by who feeds it; this is for the case that they are not. */
const modelsMax = 1024;

/** An exponential average for each model, fed by whoever sees requests end. */
export class TtftMeter implements TtftReading {
  readonly #averages = new Map<string, number>();

  read(model: string): number | undefined {
    return this.#averages.get(model);
  }

  observe(model: string, ms: number): void {
    const average = this.#averages.get(model);
    if (average === undefined && this.#averages.size >= modelsMax) return;
    this.#averages.set(model, average === undefined ? ms : average + weight * (ms - average));
  }
}
