/** Who can be in a roster, one at a time. */
export interface Listed {
  /** Where it stands there; the roster's to write. */
  place: number;
}

/**
 * Those that are here now, where thousands come and go in a second. A `Set` or a `Map` is no place for them: V8 makes a new table after
 * every few dozen deletions and leaves the old one, with all that it held then, pointing to the new one. Once one of these tables has
 * grown old, as after any full collection, it keeps every later one alive, and whoever was ever in it is copied by the minor
 * collections and not freed before the next full one.
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

  /** The last one takes the place of the one that goes. False: it was not here. */
  delete(item: T): boolean {
    const { place } = item;
    if (this.#items[place] !== item) return false;
    const last = this.#items.pop() as T;
    if (last === item) return true;
    this.#items[place] = last;
    last.place = place;
    return true;
  }

  /** Those that are here when it begins, whoever goes meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items][Symbol.iterator]();
  }
}
