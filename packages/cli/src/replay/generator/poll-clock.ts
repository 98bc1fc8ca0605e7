/**
 * When the event loop last asked the system what has come. It learns of many sockets at once and reads them one after the other; what
 * it reads last had come by that moment too, and would otherwise be taken for later by the time that the others took. Only for
 * callbacks of the poll phase, such as of sockets and message ports.
 */
export class PollClock {
  #atMs: number | undefined;

  /** The time of the first callback of this round, on the clock of `performance.now`. */
  stamp(): number {
    if (this.#atMs === undefined) {
      this.#atMs = performance.now();
      // The phase after the poll: of the same round.
      setImmediate(this.#forget);
    }
    return this.#atMs;
  }

  readonly #forget = () => {
    this.#atMs = undefined;
  };
}
