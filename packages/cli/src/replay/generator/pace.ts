export interface PaceOptions {
  readonly now: () => number;
  /** Blocks the thread. */
  readonly rest: (ms: number) => void;
}

/** An error of a millisecond is made of a few of these. */
export const sliceMs = 0.2;
/** Enough to leave the core; the system's timers add half as much. */
const restMs = 0.1;

/**
 * Work beside the sender, in pieces so short that the sender, woken on the same core, need not wait long for it: a scheduler lets
 * whoever runs go on for milliseconds, and moves nobody to the core that is idle meanwhile.
 */
export class Pace {
  readonly #options: PaceOptions;
  #endsAtMs = -Infinity;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** A piece begins. */
  begin(): void {
    this.#endsAtMs = this.#options.now() + sliceMs;
  }

  get isOver(): boolean {
    return this.#options.now() >= this.#endsAtMs;
  }

  rest(): void {
    this.#options.rest(restMs);
  }
}

const neverNotified = new Int32Array(new SharedArrayBuffer(4));

export function startPace(): Pace {
  return new Pace({ now: () => performance.now(), rest: (ms) => void Atomics.wait(neverNotified, 0, 0, ms) });
}
