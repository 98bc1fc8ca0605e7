export const noDraft = new Int32Array(0);

/** Tokens that are looked up at once, the most telling first. A match of one or two is mostly chance; what it is worth is counted apart. */
const keyLengths = [3, 2, 1] as const;
/** Earlier places of the longest key that are compared for the longest match; older ones are not looked at. */
const candidatesMax = 8;
/** A match of so many tokens is as good as a longer one, and is followed as long as it lasts. */
const matchMax = 32;

interface Match {
  /** Where it ends: the token there is the one that may come next. */
  readonly end: number;
  readonly length: number;
}

/**
 * Drafts by prompt lookup (Saxena 2023; n-grams as in Yang et al. 2023): what followed the last tokens where they stood
 * before, in the prompt or in the answer. Costs constant time for each token, and memory for a few numbers.
 */
export class PromptLookup {
  readonly #tokens: number[] = [];
  /** For each key length, by key: where the latest one ends. */
  readonly #latest = keyLengths.map(() => new Map<number, number>());
  /** By place: where the one before ended with the same longest key, or −1. */
  readonly #before: number[] = [];
  #match: Match | undefined;

  constructor(prompt: ArrayLike<number> = []) {
    for (let index = 0; index < prompt.length; index += 1) this.push(prompt[index] as number);
  }

  get length(): number {
    return this.#tokens.length;
  }

  /** The token that the text before promises next; undefined when the last token is new. */
  get promised(): number | undefined {
    return this.#match && this.#tokens[this.#match.end];
  }

  /** How many of the last tokens stood before what is promised; 0 when the last token is new. */
  get matchLength(): number {
    return this.#match?.length ?? 0;
  }

  push(token: number): void {
    const followed =
      this.#match && this.#tokens[this.#match.end] === token ? { end: this.#match.end + 1, length: this.#match.length + 1 } : undefined;
    const length = this.#tokens.push(token);
    const earlier = keyLengths.map((keyLength, index) => (length < keyLength ? -1 : this.#replaceLatest(index, keyLength, length)));
    this.#before.push(earlier[0] as number);
    this.#match = followed && followed.length >= matchMax ? followed : this.#bestMatch(earlier, followed);
  }

  /** At most `max` tokens that may come next; none when the last one is new. */
  draft(max: number): Int32Array {
    const match = this.#match;
    if (!match || max <= 0) return noDraft;
    // A match that reaches the end repeats itself with a period: what was drafted is looked at again.
    const drafted = new Int32Array(max);
    const period = this.#tokens.length - match.end;
    for (let index = 0; index < max; index += 1)
      drafted[index] = index < period ? (this.#tokens[match.end + index] as number) : (drafted[index - period] as number);
    return drafted;
  }

  /** Where the key that ends here ended before, or −1. */
  #replaceLatest(index: number, keyLength: number, end: number): number {
    const latest = this.#latest[index] as Map<number, number>;
    const key = this.#keyAt(end, keyLength);
    const before = latest.get(key) ?? -1;
    latest.set(key, end);
    return before;
  }

  /**
   * The earlier place with the longest match, the latest of these. `earlier`: of each key, the latest place; `followed`: where the last
   * match goes on.
   */
  #bestMatch(earlier: readonly number[], followed: Match | undefined): Match | undefined {
    let best: Match | undefined;
    const compare = (end: number) => {
      const length = this.#matchLength(end);
      if (length > (best?.length ?? 0)) best = { end, length };
    };
    let end = earlier[0] as number;
    for (let seen = 0; end > 0 && seen < candidatesMax; seen += 1) {
      compare(end);
      end = this.#before[end - 1] as number;
    }
    if (followed && followed.length > (best?.length ?? 0)) best = followed;
    for (const shorter of earlier.slice(1)) {
      // Keys are hashes: what they promise may not be there.
      if (best) return best;
      if (shorter > 0) compare(shorter);
    }
    return best;
  }

  #matchLength(end: number): number {
    const length = this.#tokens.length;
    let matched = 0;
    while (matched < matchMax && matched < end && this.#tokens[end - 1 - matched] === this.#tokens[length - 1 - matched]) matched += 1;
    return matched;
  }

  #keyAt(end: number, keyLength: number): number {
    let hash = 0;
    for (let index = end - keyLength; index < end; index += 1)
      hash = Math.imul(hash, 0x9e3779b1) ^ Math.imul(this.#tokens[index] as number, 0x85ebca6b);
    return hash;
  }
}
