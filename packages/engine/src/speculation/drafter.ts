import type { TokenList } from '../token-list.ts';
import { Acceptance } from './acceptance.ts';
import { DraftAccount } from './draft-account.ts';
import { PromptLookup } from './prompt-lookup.ts';

/** What other answers did counts as so many tokens of this one. */
const othersWeight = 4;

const none = new Float64Array(0);

/** One sequence's drafts, what they may cost and what they were worth. The index is made when a draft is first asked for. */
export class Drafter {
  readonly account = new DraftAccount();
  readonly #lookup = new PromptLookup();
  #acceptance: Acceptance | undefined;

  /** Reads what came since the last time; what the text before had promised there is counted, here and in `others`. */
  read(tokens: TokenList, promptLength: number, others: Acceptance): void {
    this.#acceptance ??= new Acceptance(others, othersWeight);
    for (let index = this.#lookup.length; index < tokens.length; index += 1) {
      const token = tokens.at(index);
      if (index >= promptLength) this.#learn(token, others);
      this.#lookup.push(token);
    }
  }

  /**
   * The chance of each of the next `length` tokens to be the one promised, when all before it were: a match grows while it holds. Empty
   * where none is promised.
   */
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

  #learn(token: number, others: Acceptance): void {
    this.account.lend();
    const { matchLength } = this.#lookup;
    if (matchLength === 0) return;
    const isRight = this.#lookup.promised === token;
    this.#acceptance?.add(matchLength, isRight);
    others.add(matchLength, isRight);
  }
}
