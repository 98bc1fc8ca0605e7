import type { TokenList } from '../token-list.ts';
import { Acceptance } from './acceptance.ts';
import { PromptLookup } from './prompt-lookup.ts';

/** What other answers did counts as so many tokens of this one. */
const othersWeight = 4;
/** Plain steps that an answer may lose to drafts: at its beginning, and more by each of its tokens. */
const credit = { first: 3, perToken: 0.01, max: 32 };

const none = new Float64Array(0);

/** One sequence's drafts, what they may cost and what they were worth. The index is made when a draft is first asked for. */
export class Drafter {
  readonly #lookup = new PromptLookup();
  #acceptance: Acceptance | undefined;
  #credit = credit.first;
  /** For the step that is under way. */
  #paid: { readonly computed: number; readonly cost: number } | undefined;

  /** Plain steps that a draft may cost. What drafts have won may be lost again: while no step costs more, an answer is not slower than by its first credit and what its tokens add. */
  get credit(): number {
    return this.#credit;
  }

  /** Reads what came since the last time; what the text before had promised there is counted, here and in `others`. */
  read(tokens: TokenList, promptLength: number, others: Acceptance): void {
    this.#acceptance ??= new Acceptance(others, othersWeight);
    for (let index = this.#lookup.length; index < tokens.length; index += 1) {
      const token = tokens.at(index);
      if (index >= promptLength) this.#learn(token, others);
      this.#lookup.push(token);
    }
  }

  /** The chance of each of the next `length` tokens to be the one promised, when all before it were: a match grows while it holds. Empty where none is promised. */
  rates(length: number): Float64Array {
    const acceptance = this.#acceptance;
    const { matchLength } = this.#lookup;
    if (!acceptance || matchLength === 0 || length <= 0) return none;
    const rates = new Float64Array(length);
    for (let index = 0; index < length; index += 1) rates[index] = acceptance.rate(matchLength + index);
    return rates;
  }

  draft(length: number): Int32Array {
    return this.#lookup.draft(length);
  }

  /** A step follows that costs as much as so many plain ones, whatever it brings. `computed`: tokens of the sequence. */
  pay(computed: number, cost: number): void {
    this.#paid = { computed, cost };
  }

  /** Counts what the step that was paid has brought: to be called before the next one, paid or not, since the tokens of that are not its gain. */
  settle(computed: number): void {
    const paid = this.#paid;
    this.#paid = undefined;
    // One that lost its place meanwhile has nothing to show.
    if (paid && computed > paid.computed) this.#credit = Math.min(credit.max, this.#credit + computed - paid.computed - paid.cost);
  }

  #learn(token: number, others: Acceptance): void {
    this.#credit = Math.min(credit.max, this.#credit + credit.perToken);
    const { matchLength } = this.#lookup;
    if (matchLength === 0) return;
    const isRight = this.#lookup.promised === token;
    this.#acceptance?.add(matchLength, isRight);
    others.add(matchLength, isRight);
  }
}
