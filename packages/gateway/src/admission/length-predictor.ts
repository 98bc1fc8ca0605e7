/** What is known of an answer before it begins. */
export interface AnswerKind {
  readonly tenant: string;
  readonly model: string;
  readonly promptTokens: number;
  /** The client's bound. */
  readonly maxTokens: number | undefined;
}

/** Tells how long an answer will be. Another one may take its place: it only orders those that wait, and costs no answer anything. */
export interface LengthPredictor {
  /** Tokens; at least 1, at most the client's bound. */
  predict(kind: AnswerKind): number;
  learn(kind: AnswerKind, tokens: number): void;
}

/** Answers of one kind that are remembered. */
const lengthsKept = 32;
/** Fewer than this say less than those of all tenants together. */
const lengthsMin = 4;
/** The kind that was not seen for longest is forgotten. */
const kindsMax = 4096;
const lengthFirst = 256;

/**
 * The median of the last answers of the same kind: one tenant's, of one model, to prompts of about the same length, under
 * about the same bound. Of a kind that is new, the median of all tenants' answers; of one that nobody has asked, the bound itself.
 * A bound is a good guess by itself where clients set it with care, and the median tells where they do not.
 */
export class QuantilePredictor implements LengthPredictor {
  readonly #kinds = new Map<string, RecentLengths>();
  /** The key that is last in the map. */
  #newest = '';

  predict(kind: AnswerKind): number {
    const bound = kind.maxTokens ?? Infinity;
    const own = this.#kinds.get(keyOf(kind, kind.tenant));
    const known = kind.tenant === '' || (own && own.count >= lengthsMin) ? own : this.#kinds.get(keyOf(kind, ''));
    if (known && known.count >= lengthsMin) return Math.max(1, Math.min(known.median, bound));
    return Math.min(bound, lengthFirst);
  }

  learn(kind: AnswerKind, tokens: number): void {
    this.#lengthsOf(keyOf(kind, kind.tenant)).add(tokens);
    if (kind.tenant !== '') this.#lengthsOf(keyOf(kind, '')).add(tokens);
  }

  #lengthsOf(key: string): RecentLengths {
    const found = this.#kinds.get(key) ?? new RecentLengths();
    if (key === this.#newest) return found;
    // Deleted and set again it is the last of the map; the first is the one that was not seen for longest.
    this.#newest = key;
    this.#kinds.delete(key);
    this.#kinds.set(key, found);
    if (this.#kinds.size > kindsMax) this.#kinds.delete(this.#kinds.keys().next().value as string);
    return found;
  }
}

/** Lengths that are within a factor of two are alike. */
function keyOf({ model, promptTokens, maxTokens }: AnswerKind, tenant: string): string {
  return `${binaryDigits(promptTokens)}/${maxTokens === undefined ? '' : binaryDigits(maxTokens - 1)}/${model}/${tenant}`;
}

/** Of a whole number: `ceil(log2(count + 1))`, at a tenth of its cost. */
function binaryDigits(count: number): number {
  return 32 - Math.clz32(count);
}

/** The last lengths, and their median, which is brought up to date when a quarter of them is new. */
class RecentLengths {
  readonly #lengths: number[] = [];
  count = 0;
  median = 0;

  add(tokens: number): void {
    this.#lengths[this.count % lengthsKept] = tokens;
    this.count += 1;
    if (this.count <= lengthsMin || this.count % (lengthsKept / 4) === 0) this.median = middleOf(this.#lengths);
  }
}

function middleOf(lengths: readonly number[]): number {
  const sorted = [...lengths].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
