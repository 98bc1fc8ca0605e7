export interface PreciseAlarmOptions {
  /** Rings at a moment, or some tenths of a millisecond later. */
  readonly setRough: (atMs: number) => void;
  readonly now: () => number;
  readonly onRing: () => void;
}

/** Of the time until the moment, and never more: what turning may cost, as a share of a core. */
const turningShareMax = 0.3;
const turningMsMax = 1;

/**
 * Wakes the thread a little before the moment, and lets the event loop turn until then: it is not the wake-up that has to be punctual, and what comes from the sockets meanwhile is read at once.
 */
export class PreciseAlarm {
  readonly #options: PreciseAlarmOptions;
  /** Infinity: none is set. */
  #atMs = Infinity;
  #turnFromMs = Infinity;
  #isTurning = false;

  constructor(options: PreciseAlarmOptions) {
    this.#options = options;
  }

  /** Moves the moment. */
  set(atMs: number): void {
    if (atMs === this.#atMs) return;
    const waitMs = Math.max(0, atMs - this.#options.now());
    this.#atMs = atMs;
    this.#turnFromMs = atMs - Math.min(turningMsMax, turningShareMax * waitMs);
    this.#options.setRough(this.#turnFromMs);
  }

  /** The rough alarm has rung; for another moment, or by another clock's count a little early, it may be. */
  readonly ring = () => {
    if (this.#options.now() >= this.#turnFromMs) this.look();
    else if (this.#turnFromMs !== Infinity) this.#options.setRough(this.#turnFromMs);
  };

  /** To be called wherever it costs nothing to look. */
  readonly look = () => {
    const nowMs = this.#options.now();
    if (nowMs >= this.#atMs) {
      this.#atMs = Infinity;
      this.#turnFromMs = Infinity;
      this.#options.onRing();
    } else if (nowMs >= this.#turnFromMs && !this.#isTurning) {
      this.#isTurning = true;
      setImmediate(this.#turn);
    }
  };

  readonly #turn = () => {
    this.#isTurning = false;
    this.look();
  };
}
