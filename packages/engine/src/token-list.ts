/** Token ids that grow at the end. Adding one costs constant time on average. */
export class TokenList {
  #tokens: Int32Array;
  #length: number;

  constructor(tokens: ArrayLike<number>) {
    this.#tokens = Int32Array.from(tokens);
    this.#length = tokens.length;
  }

  get length(): number {
    return this.#length;
  }

  /** All of them; valid until the next `push`. */
  get all(): Int32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  at(index: number): number {
    return this.#tokens[index] as number;
  }

  push(token: number): void {
    if (this.#length === this.#tokens.length) {
      const grown = new Int32Array(2 * this.#length + 16);
      grown.set(this.#tokens);
      this.#tokens = grown;
    }
    this.#tokens[this.#length] = token;
    this.#length += 1;
  }
}

/** Whether both are the same tokens. */
export function areEqual(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((token, index) => token === b[index]);
}
