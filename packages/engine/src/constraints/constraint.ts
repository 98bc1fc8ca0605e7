import { argmax } from '../sampler/argmax.ts';
import type { Sampler } from '../sampler/sampler.ts';
import type { Node } from './grammar.ts';
import { startOf, type State } from './matcher.ts';
import type { TokenTable } from './token-table.ts';

/** Holds one sequence to a grammar. It is a function of the tokens accepted, so it can be made again from them at any time. */
export class Constraint {
  readonly #table: TokenTable;
  #state: State;

  constructor(grammar: Node, table: TokenTable) {
    this.#table = table;
    this.#state = startOf(grammar);
  }

  /** Whether a token may come next. */
  allows(token: number): boolean {
    if (this.#table.ends.includes(token)) return this.#state.canEnd;
    return this.#table.after(this.#state, token) !== undefined;
  }

  /** Sets `target` to the logits of the tokens that may come next, and −∞ for the others. Both: [vocabularySize]. */
  mask(logits: Float32Array, target: Float32Array): void {
    target.fill(-Infinity);
    this.#table.copyAllowed(this.#state, logits, target);
    if (this.#state.canEnd) for (const end of this.#table.ends) target[end] = logits[end] as number;
  }

  /** The lowest token that may come next; `scratch`: [vocabularySize]. */
  first(scratch: Float32Array): number {
    this.mask(new Float32Array(scratch.length), scratch);
    return argmax(scratch);
  }

  /** Goes on with a token that is allowed and ends nothing. */
  accept(token: number): void {
    const next = this.#table.after(this.#state, token);
    if (!next) throw new Error(`token ${token} was accepted against the grammar`);
    this.#state = next;
  }

  /** The text is whole and nothing may follow it. */
  get isDone(): boolean {
    return this.#state.canEnd && this.#state.frames.length === 0;
  }
}

/**
 * A sampler held to a grammar. It draws as if there were no grammar first: nearly always the draw is allowed, and one token is tried
 * instead of the vocabulary. A draw that is not allowed is made again among those that are, which leaves the probabilities of
 * allowed tokens in proportion; top-k, top-p and min-p cut before the first draw, and again, among allowed tokens, before the second.
 */
export function constrainedSampler(sampler: Sampler, constraint: Constraint, scratch: Float32Array): Sampler {
  return {
    sample(logits) {
      const drawn = sampler.sample(logits);
      if (constraint.allows(drawn)) return drawn;
      constraint.mask(logits, scratch);
      const again = sampler.sample(scratch);
      // Where no allowed token has a logit that is a number, none is likelier than another.
      return constraint.allows(again) ? again : constraint.first(scratch);
    },
    accept(token) {
      sampler.accept(token);
      constraint.accept(token);
    },
  };
}
