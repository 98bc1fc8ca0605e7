/** So many may work at once; the others wait in the order in which they came. */
export class Places {
  #free: number;
  #closed: Error | undefined;
  readonly #waiting = new Set<{ readonly enter: () => void; readonly refuse: (error: Error) => void }>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Rejects with the signal's reason while it waits, and with what the places were closed with. */
  readonly hold = async <T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next) {
        this.#waiting.delete(next);
        next.enter();
      } else {
        this.#free += 1;
      }
    }
  };

  /** Nobody enters any more. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const { refuse } of this.#waiting) refuse(this.#closed);
    this.#waiting.clear();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#closed) throw this.#closed;
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const place = { enter: resolve, refuse: reject };
    const onAbort = () => {
      if (this.#waiting.delete(place)) reject(signal.reason as Error);
    };
    this.#waiting.add(place);
    signal.addEventListener('abort', onAbort, { once: true });
    await promise.finally(() => signal.removeEventListener('abort', onAbort));
  }
}
