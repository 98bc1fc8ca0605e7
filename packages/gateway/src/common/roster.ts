/** Who is in a roster. */
export interface Listed {
  /** Where it stands there; the roster's to write. */
  place: number;
}

/**
 * Those that are here now, where thousands come and go in a second. A `Set` is no place for them: V8 makes a new table after
 * every few dozen deletions and leaves the old one, with all that it held, pointing to the new one. Once one of these tables
 * has grown old, every later one is kept alive by it, and nobody who was ever in the set is freed before the next full
 * collection: each minor one copied several megabytes of requests that were over.
 */
export class Roster<T extends Listed> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** The last one takes the place of the one that goes. Nothing happens where it is not listed. */
  delete(item: T): void {
    const { place } = item;
    if (this.#items[place] !== item) return;
    const last = this.#items.pop() as T;
    if (last === item) return;
    this.#items[place] = last;
    last.place = place;
  }

  /** Those that are here when it begins, whoever goes meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items][Symbol.iterator]();
  }
}
