/** Weight of the newest outcome in the running mean: about the last 16 drafted tokens count. */
const gain = 1 / 16;
/** Before anything is known, drafts are worth a try. */
const prior = 0.7;
/** A draft of one token is tried after so many steps without any, so that a change of the text is noticed; the wait doubles up to the bound while it fails. */
const firstRest = 16;
const restMax = 256;

/** What one sequence's drafts were worth so far. */
export class Acceptance {
  /** The chance that a drafted token is the one, when all before it were. */
  #rate = prior;
  #rest = firstRest;
  #stepsSinceDraft = 0;

  get rate(): number {
    return this.#rate;
  }

  /** Whether a draft is due that the rate alone would not allow. */
  get isProbeDue(): boolean {
    return this.#stepsSinceDraft >= this.#rest;
  }

  /** A step with a draft of `drafted` tokens, of which the first `accepted` were right. */
  onDraft(drafted: number, accepted: number): void {
    this.#stepsSinceDraft = 0;
    for (let index = 0; index < Math.min(drafted, accepted + 1); index += 1) this.#rate += gain * ((index < accepted ? 1 : 0) - this.#rate);
    this.#rest = accepted > 0 ? firstRest : Math.min(restMax, this.#rest * 2);
  }

  onPlainStep(): void {
    this.#stepsSinceDraft += 1;
  }
}
