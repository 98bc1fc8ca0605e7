import type { Sequence } from '../sequence.ts';
import { chooseDraftLength, type DraftChance } from './draft-length.ts';
import { noDraft, type Draft } from './prompt-lookup.ts';

/** Drafted tokens of a sequence in one step at most. */
const draftMax = 15;
/** Tokens that one step verifies at most, of all sequences. */
const columnsMax = 64;

/** What a step verifies of one sequence, after the token that it computes anyway. */
export interface StepDraft extends Draft {
  /** Tokens that the sequence has had already: it lost its place, and computes them again. */
  readonly isKnown: boolean;
}

const plainStep: StepDraft = { ...noDraft, isKnown: false };

/**
 * Speculative decoding (Leviathan et al. 2023) with drafts that cost no model: whether, and how many tokens of each
 * sequence a step verifies. A token is kept only when the sampler, with the logits of its own place and its own random
 * numbers, chooses the same: every answer has the very tokens that it has without drafts.
 */
export class Speculator {
  readonly #costOf: (columns: number) => number;
  /** By number of sequences: the draft length if every draft were right. */
  readonly #ceilings: number[] = [];

  constructor(costOf: (columns: number) => number) {
    this.#costOf = costOf;
  }

  /** Drafts for the sequences of a step, all of at most the same length. `reserve` gives memory for so many tokens, or not. */
  draft(sequences: readonly Sequence[], reserve: (sequence: Sequence, length: number) => boolean): readonly StepDraft[] {
    const ceiling = this.#ceiling(sequences.length);
    const drafts = sequences.map((sequence) => (ceiling === 0 ? plainStep : draftOf(sequence, ceiling)));
    const length = this.#length(sequences, drafts);
    return drafts.map((draft, index) => {
      const sequence = sequences[index] as Sequence;
      const tokens = draft.tokens.subarray(0, length);
      if (tokens.length === 0 || !reserve(sequence, sequence.computed + 1 + tokens.length)) {
        sequence.drafter.acceptance.onPlainStep();
        return plainStep;
      }
      return { ...draft, tokens };
    });
  }

  #length(sequences: readonly Sequence[], drafts: readonly StepDraft[]): number {
    if (drafts.every(({ tokens }) => tokens.length === 0)) return 0;
    const chances = drafts.map(({ tokens, matchLength, isKnown }, index): DraftChance => {
      const { acceptance } = (sequences[index] as Sequence).drafter;
      return { available: tokens.length, rate: isKnown ? 1 : acceptance.rate(matchLength) };
    });
    const length = chooseDraftLength(chances, this.#costOf, columnsMax);
    const isProbeDue = drafts.some(({ tokens }, index) => tokens.length > 0 && (sequences[index] as Sequence).drafter.acceptance.isProbeDue);
    return length === 0 && isProbeDue ? 1 : length;
  }

  #ceiling(count: number): number {
    return (this.#ceilings[count] ??= chooseDraftLength(Array.from({ length: count }, () => ({ available: draftMax, rate: 1 })), this.#costOf, columnsMax));
  }
}

function draftOf({ tokens, computed, generated, maxTokens, drafter }: Sequence, max: number): StepDraft {
  const known = tokens.all.subarray(computed + 1, computed + 1 + max);
  if (known.length > 0) return { tokens: known, matchLength: 0, isKnown: true };
  // The step itself brings one token; more than are still wanted need not be verified.
  return { ...drafter.draft(tokens, Math.min(max, maxTokens - generated - 1)), isKnown: false };
}
