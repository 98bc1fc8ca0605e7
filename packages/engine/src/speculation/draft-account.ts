/** In plain steps: lent to every answer at its beginning, and by each of its tokens; of what drafts have won, so much may be lost again. */
export const allowance = { first: 1.5, perToken: 0.02, wonMax: 32 } as const;

interface Paid {
  /** Tokens of the sequence that were computed before the step. */
  readonly computed: number;
  readonly cost: number;
}

/**
 * What one answer may lose to drafts, in plain steps. A step with a draft is taken only when its cost, should it bring one token like a
 * plain step, is lent or won; it is charged what it took by the clock. So whatever is accepted, and whatever steps cost, an answer
 * loses at most what is lent, and once what a step took beyond what was expected of it: below nothing, no draft is made.
 */
export class DraftAccount {
  #credit: number = allowance.first;
  /** For the step that is under way. */
  #paid: Paid | undefined;

  /** Plain steps that a draft may cost. */
  get credit(): number {
    return this.#credit;
  }

  /** The answer has a token more. */
  lend(): void {
    this.#add(allowance.perToken);
  }

  /** A step with a draft follows that should cost as much as so many plain ones. */
  pay(computed: number, cost: number): void {
    this.#paid = { computed, cost };
  }

  /** The step that was paid has taken as long as so many plain ones. */
  correct(cost: number): void {
    if (this.#paid) this.#paid = { ...this.#paid, cost };
  }

  /**
   * Counts what the step that was paid has brought: to be called before the next one, paid or not, since the tokens of that are not its
   * gain.
   */
  settle(computed: number): void {
    const paid = this.#paid;
    this.#paid = undefined;
    // One that lost its place meanwhile cannot show more than a plain step would have brought.
    if (paid) this.#add(Math.max(1, computed - paid.computed) - paid.cost);
  }

  #add(steps: number): void {
    this.#credit = Math.min(allowance.wonMax, this.#credit + steps);
  }
}
