/** How often it is looked for who is late, within the limit. */
const turnsPerLimit = 16;

/**
 * A limit in time that many share, and one timer for all of them: one for each cost a request 5 µs of its 150. Whoever is late is told so at
 * most a sixteenth of the limit later.
 */
export class SharedTimeout {
  readonly #limitMs: number;
  /** Who is waited for, and the turn of the timer in which that began; in this order. */
  readonly #waiting = new Map<() => void, number>();
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** `onLate` is called when the limit has passed, unless it was left before. */
  enter(onLate: () => void): void {
    this.#waiting.set(onLate, this.#turn);
    if (!this.#timer) this.#timer = this.#wait();
  }

  leave(onLate: () => void): void {
    this.#waiting.delete(onLate);
  }

  #wait(): NodeJS.Timeout {
    return setTimeout(() => this.#look(), Math.ceil(this.#limitMs / turnsPerLimit)).unref();
  }

  #look(): void {
    this.#turn += 1;
    for (const [onLate, turn] of this.#waiting) {
      // The turn in which it came had begun before.
      if (this.#turn - turn <= turnsPerLimit) break;
      this.#waiting.delete(onLate);
      onLate();
    }
    this.#timer = this.#waiting.size > 0 ? this.#wait() : undefined;
  }
}
