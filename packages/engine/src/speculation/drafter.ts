import type { TokenList } from '../token-list.ts';
import { Acceptance } from './acceptance.ts';
import { PromptLookup, type Draft } from './prompt-lookup.ts';

/** One sequence's drafts and what they were worth. The index is made when a draft is first asked for. */
export class Drafter {
  readonly acceptance = new Acceptance();
  readonly #lookup = new PromptLookup();

  draft(tokens: TokenList, max: number): Draft {
    for (let index = this.#lookup.length; index < tokens.length; index += 1) this.#lookup.push(tokens.at(index));
    return this.#lookup.draft(max);
  }
}
