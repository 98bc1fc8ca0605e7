import type { Sequence } from '../sequence.ts';
import { Acceptance } from './acceptance.ts';
import { chooseWidth, verifyWidths, widthFor } from './draft-length.ts';
import { noDraft } from './prompt-lookup.ts';
import type { StepCosts, StepSize } from './step-costs.ts';

/** Tokens that one step verifies at most, of all sequences. */
const columnsMax = 64;
/** A step that took so many times what is learnt of such steps was interrupted. What is learnt follows steps that are dearer for long. */
const interruptedFrom = 1.5;
const widest = verifyWidths.at(-1) as number;
/** What is expected of every answer counts as so many tokens of those that were seen. */
const priorsWeight = 16;

const allRight = new Float64Array(widest).fill(1);

/**
 * Speculative decoding (Leviathan et al. 2023) with drafts that cost no model: whether, and how many tokens of each
 * sequence a step verifies. A token is kept only when the sampler, with the logits of its own place and its own random
 * numbers, chooses the same: every answer has the very tokens that it has without drafts.
 */
export class Speculator {
  /** Those that were verified, of single sequences. */
  readonly drafts = { count: 0, tokens: 0, acceptedTokens: 0 };
  readonly #costs: StepCosts;
  readonly #acceptance = new Acceptance(undefined, priorsWeight);

  constructor(costs: StepCosts) {
    this.#costs = costs;
  }

  /**
   * What a step verifies of each sequence, after the token that it computes anyway; empty for nothing. `reserve` gives memory for so many
   * tokens, or not.
   */
  draft(sequences: readonly Sequence[], reserve: (sequence: Sequence, length: number) => boolean): readonly Int32Array[] {
    for (const { drafter, computed } of sequences) drafter.account.settle(computed);
    const width = this.#chooseWidth(sequences);
    if (width === 1) return sequences.map(() => noDraft);
    const drafts = sequences.map((sequence) => {
      const draft = draftOf(sequence, width - 1);
      return draft.length > 0 && reserve(sequence, sequence.computed + 1 + draft.length) ? draft : noDraft;
    });
    this.#charge(sequences, widthOf(drafts));
    return drafts;
  }

  /** A step with so many tokens of each sequence took so long. */
  observe(sequences: readonly Sequence[], width: number, milliseconds: number): void {
    const step = stepSize(sequences, width);
    const taken = this.#costs.observe(step, milliseconds);
    if (width === 1 || taken === undefined) return;
    // As many plain steps would have done the same; and what far exceeds what such steps take, other programs took.
    const plainSteps = Math.min(
      width,
      Math.min(taken, this.#costs.costOf(step) * interruptedFrom) / this.#costs.costOf(stepSize(sequences, 1)),
    );
    for (const { drafter } of sequences) drafter.account.correct(plainSteps);
  }

  /** A draft of so many tokens was verified, and so many of its first were right. */
  count(tokens: number, acceptedTokens: number): void {
    this.drafts.count += 1;
    this.drafts.tokens += tokens;
    this.drafts.acceptedTokens += acceptedTokens;
  }

  /** All pay for the step as it will be: those without a draft wait as long. */
  #charge(sequences: readonly Sequence[], width: number): void {
    if (width === 1) return;
    const cost = this.#costs.costOf(stepSize(sequences, width)) / this.#costs.costOf(stepSize(sequences, 1));
    for (const { drafter, computed } of sequences) drafter.account.pay(computed, cost);
  }

  #chooseWidth(sequences: readonly Sequence[]): number {
    const widthMax = Math.min(widest, Math.floor(columnsMax / sequences.length));
    const costOf = (width: number) => this.#costs.costOf(stepSize(sequences, width));
    // Where not even drafts that are all right would pay, or could change the answer, nothing is looked up.
    if (
      chooseWidth(
        sequences.map(() => allRight),
        costOf,
        { widthMax, riskMax: Infinity },
      ) === 1
    )
      return 1;
    const chances = sequences.map((sequence) => this.#chancesOf(sequence, widthMax - 1));
    // What one has won is not another's to lose.
    const riskMax = Math.min(...sequences.map(({ drafter }) => drafter.account.credit));
    return chooseWidth(chances, costOf, { widthMax, riskMax });
  }

  #chancesOf({ tokens, computed, generated, maxTokens, prompt, drafter }: Sequence, max: number): Float64Array {
    drafter.read(tokens, prompt.length, this.#acceptance);
    const known = tokens.length - computed - 1;
    // The step itself brings one token; more than are still wanted need not be verified.
    return known > 0 ? allRight.subarray(0, Math.min(known, max)) : drafter.rates(Math.min(max, maxTokens - generated - 1));
  }
}

function draftOf({ tokens, computed, generated, maxTokens, drafter }: Sequence, max: number): Int32Array {
  const known = tokens.all.subarray(computed + 1, computed + 1 + max);
  // One that lost its place computes again what it has had already.
  return known.length > 0 ? known : drafter.draft(Math.min(max, maxTokens - generated - 1));
}

function stepSize(sequences: readonly Sequence[], width: number): StepSize {
  const keys = sequences.reduce((sum, { computed, context }) => sum + context.rows(computed) + 1, 0);
  return { columns: sequences.length * width, keys: keys * width, isPlain: width === 1 };
}

/** How many tokens of each sequence a step computes that verifies these drafts. */
export function widthOf(drafts: readonly Int32Array[]): number {
  return widthFor(drafts.reduce((most, { length }) => Math.max(most, length), 0));
}
