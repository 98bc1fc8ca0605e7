/** The shortest match of each kind: the longer the match, the more of what follows is copied rather than chance. */
const kinds = [1, 2, 3, 4, 6, 9, 16, 32] as const;
/** Before anything is known: what two models did on texts quoted, summaries, code, poems and explanations, rounded down. */
const priors = [0.2, 0.4, 0.5, 0.65, 0.75, 0.85, 0.92, 0.95] as const;
/** About so many outcomes of a kind count; older ones fade. */
const memory = 31 / 32;

/**
 * How often the token that a match promises is the one, by the length of the match. Every token of an answer tells,
 * whether or not its draft was verified: nothing needs to be tried for it.
 */
export class Acceptance {
  readonly #seen = new Float64Array(kinds.length);
  readonly #right = new Float64Array(kinds.length);
  readonly #before: Acceptance | undefined;
  readonly #weight: number;

  /** `before`: what to expect while little was seen, such as what other answers did; it counts as `weight` outcomes. */
  constructor(before: Acceptance | undefined, weight: number) {
    this.#before = before;
    this.#weight = weight;
  }

  /** The chance that the token promised by a match of so many tokens is the one. */
  rate(matchLength: number): number {
    return this.#rateOf(kindOf(matchLength));
  }

  add(matchLength: number, isRight: boolean): void {
    const kind = kindOf(matchLength);
    this.#seen[kind] = (this.#seen[kind] as number) * memory + 1;
    this.#right[kind] = (this.#right[kind] as number) * memory + Number(isRight);
  }

  #rateOf(kind: number): number {
    const expected = this.#before ? this.#before.#rateOf(kind) : (priors[kind] as number);
    return ((this.#right[kind] as number) + expected * this.#weight) / ((this.#seen[kind] as number) + this.#weight);
  }
}

function kindOf(matchLength: number): number {
  let kind = kinds.length - 1;
  while (kind > 0 && matchLength < (kinds[kind] as number)) kind -= 1;
  return kind;
}
