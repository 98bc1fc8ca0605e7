export interface PreciseAlarmOptions {
  /** Rings at a moment, or some tenths of a millisecond later. */
  readonly setRough: (atMs: number) => void;
  readonly now: () => number;
  readonly onRing: () => void;
}

/** Rings at the moment for whoever happens to be awake and looks, and otherwise when the rough alarm has woken the thread. */
export class PreciseAlarm {
  readonly #options: PreciseAlarmOptions;
  /** Infinity: none is set. */
  #atMs = Infinity;

  constructor(options: PreciseAlarmOptions) {
    this.#options = options;
  }

  /** Moves the moment. */
  set(atMs: number): void {
    if (atMs === this.#atMs) return;
    this.#atMs = atMs;
    this.#options.setRough(atMs);
  }

  /** The rough alarm has rung; for another moment, or by another clock's count a little early, it may be. */
  readonly ring = () => {
    if (this.#options.now() >= this.#atMs) this.look();
    else if (this.#atMs !== Infinity) this.#options.setRough(this.#atMs);
  };

  /** To be called wherever it costs nothing to look. */
  readonly look = () => {
    if (this.#options.now() < this.#atMs) return;
    this.#atMs = Infinity;
    this.#options.onRing();
  };
}
