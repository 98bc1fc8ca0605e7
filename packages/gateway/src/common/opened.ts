/** What a program has opened, to be closed in the opposite order: when it ends, and when it cannot begin. */
export class Opened {
  readonly #closers: (() => Promise<void> | void)[] = [];

  /** Keeps how to close the part; what is off needs none. */
  add<T>(part: T, close: (part: NonNullable<T>) => Promise<void> | void): T {
    if (part !== undefined && part !== null) this.#closers.push(() => close(part));
    return part;
  }

  /** As `add`, for what the others speak to until they are closed. */
  addToTheEnd<T>(part: T, close: (part: NonNullable<T>) => Promise<void> | void): T {
    if (part !== undefined && part !== null) this.#closers.unshift(() => close(part));
    return part;
  }

  /** Closes everything, though one of them fails; rejects with the first failure. Idempotent. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let closer = this.#closers.pop(); closer; closer = this.#closers.pop()) {
      await Promise.resolve()
        .then(closer)
        .catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
