/** Between two signs, in milliseconds: far below any time after which silence means that a process hangs. */
const lifeSignIntervalMs = 100;

/**
 * Work that goes on without bringing anything yet, such as a long prompt's, looks from outside like a process that hangs. Called
 * after each such step, this tells of it, at most ten times a second: a step that hangs tells nothing.
 */
export class LifeSign {
  readonly #send: () => void;
  readonly #now: () => number;
  #sentAtMs = -Infinity;

  constructor(send: () => void, now: () => number = () => performance.now()) {
    this.#send = send;
    this.#now = now;
  }

  show(): void {
    const nowMs = this.#now();
    if (nowMs - this.#sentAtMs < lifeSignIntervalMs) return;
    this.#sentAtMs = nowMs;
    this.#send();
  }
}
