export interface Draft {
  readonly tokens: Int32Array;
  /** How many of the last tokens stood before the place that was copied from, too; 0 for an empty draft. */
  readonly matchLength: number;
}

export const noDraft: Draft = { tokens: new Int32Array(0), matchLength: 0 };

/** Tokens that must repeat before anything is drafted: shorter ones repeat by chance. */
const keyLength = 3;
/** Earlier places that are compared for the longest match; older ones are not looked at. */
const candidatesMax = 8;
/** A match of so many tokens is as good as a longer one. */
const matchMax = 32;

/**
 * Drafts by prompt lookup (Saxena 2023; n-grams as in Yang et al. 2023): what followed the last tokens where they stood
 * before, in the prompt or in the answer. Costs constant time for each token, and memory for a few numbers.
 */
export class PromptLookup {
  readonly #tokens: number[] = [];
  /** By key: where the latest one ends. By place: where the one before ended with the same key, or −1. */
  readonly #latest = new Map<number, number>();
  readonly #before: number[] = [];

  constructor(prompt: ArrayLike<number> = []) {
    for (let index = 0; index < prompt.length; index += 1) this.push(prompt[index] as number);
  }

  get length(): number {
    return this.#tokens.length;
  }

  push(token: number): void {
    const end = this.#tokens.push(token);
    if (end < keyLength) {
      this.#before.push(-1);
      return;
    }
    const key = this.#keyAt(end);
    this.#before.push(this.#latest.get(key) ?? -1);
    this.#latest.set(key, end);
  }

  /** At most `max` tokens that may come next; none when the last ones are new. */
  draft(max: number): Draft {
    const length = this.#tokens.length;
    const match = max > 0 && length > keyLength ? this.#bestMatch(length) : undefined;
    if (!match) return noDraft;
    // A match that reaches the end repeats itself with a period: what was drafted is looked at again.
    const drafted = new Int32Array(max);
    const period = length - match.end;
    for (let index = 0; index < max; index += 1) drafted[index] = index < period ? (this.#tokens[match.end + index] as number) : (drafted[index - period] as number);
    return { tokens: drafted, matchLength: match.length };
  }

  /** The earlier place with the longest match, the latest of these. */
  #bestMatch(length: number): { readonly end: number; readonly length: number } | undefined {
    let best: { readonly end: number; readonly length: number } | undefined;
    let end = this.#before[length - 1] as number;
    for (let seen = 0; end > 0 && seen < candidatesMax; seen += 1) {
      const matched = this.#matchLength(end, length);
      // Keys are hashes: two may be the same by chance.
      if (matched >= keyLength && matched > (best?.length ?? 0)) best = { end, length: matched };
      end = this.#before[end - 1] as number;
    }
    return best;
  }

  #matchLength(end: number, length: number): number {
    let matched = 0;
    while (matched < matchMax && matched < end && this.#tokens[end - 1 - matched] === this.#tokens[length - 1 - matched]) matched += 1;
    return matched;
  }

  #keyAt(end: number): number {
    let hash = 0;
    for (let index = end - keyLength; index < end; index += 1) hash = Math.imul(hash, 0x9e3779b1) ^ Math.imul(this.#tokens[index] as number, 0x85ebca6b);
    return hash;
  }
}
