/**
 * Work that may wait a moment, done for many at a time: one by one, each would find the code and the data that it needs gone from the
 * processor's caches, which took several times as long as the work itself. It is not done in the turn of the event loop that brought
 * it, whose items are therefore the most that wait beyond `countMax`.
 */
export class Later<Item> {
  readonly #take: (item: Item) => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #countMax: number;
  readonly #delayMs: number;
  #items: Item[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  #isClosed = false;

  /**
   * `countMax`: as many need not wait for more. `delayMs`: nothing waits longer. What `take` throws is told to `onFailure`, and costs the
   * others nothing.
   */
  constructor(
    take: (item: Item) => void,
    { countMax, delayMs, onFailure }: { readonly countMax: number; readonly delayMs: number; readonly onFailure: (error: unknown) => void },
  ) {
    this.#take = take;
    this.#onFailure = onFailure;
    this.#countMax = countMax;
    this.#delayMs = delayMs;
  }

  add(item: Item): void {
    const count = this.#items.push(item);
    if (this.#isClosed) this.flush();
    else if (count >= this.#countMax) this.#hurry();
    else if (count === 1) this.#wait();
  }

  /** Takes what waits, now. */
  flush(): void {
    clearTimeout(this.#timer);
    const items = this.#items;
    this.#items = [];
    for (const item of items) {
      try {
        this.#take(item);
      } catch (error) {
        this.#onFailure(error);
      }
    }
  }

  /** Takes what waits, and what still comes as it comes: whoever ends waits for no timer. */
  close(): void {
    this.#isClosed = true;
    this.flush();
  }

  #hurry(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.flush();
    });
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.flush(), this.#delayMs).unref();
  }
}
