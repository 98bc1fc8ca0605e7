/** What a sink could not deliver. A sink that is down tells so once, and once more when it is up again. */
export class DropCounter {
  readonly #onFirst: (reason: string) => void;
  readonly #onFlow: (count: number) => void;
  #count = 0;
  #countAtLastFlow = 0;

  /** `onFlow` is told how much was lost since the sink was last known to work. */
  constructor(onFirst: (reason: string) => void, onFlow: (count: number) => void) {
    this.#onFirst = onFirst;
    this.#onFlow = onFlow;
  }

  /** Since the start. */
  get count(): number {
    return this.#count;
  }

  add(count: number, reason: string): void {
    const isFirst = this.#count === this.#countAtLastFlow;
    this.#count += count;
    if (isFirst) this.#onFirst(reason);
  }

  /** The sink has taken something. */
  flows(): void {
    const lost = this.#count - this.#countAtLastFlow;
    if (lost === 0) return;
    this.#countAtLastFlow = this.#count;
    this.#onFlow(lost);
  }
}
