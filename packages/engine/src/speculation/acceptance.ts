/** Weight of the newest outcome in the running mean: about the last 16 drafted tokens count. */
const gain = 1 / 16;
/** From a match of so many tokens on, what follows is mostly copied; below, it is often chance. */
const longMatch = 8;
/** Before anything is known. */
const priors = { short: 0.4, long: 0.85 };
/** A draft of one token is tried after so many steps without any, so that a change of the text is noticed; the wait doubles up to the bound while it fails. */
const firstRest = 16;
const restMax = 256;

/** What one sequence's drafts were worth so far, apart for short and long matches. */
export class Acceptance {
  readonly #rates = { ...priors };
  #rest = firstRest;
  #stepsSinceDraft = 0;

  /** The chance that a drafted token is the one, when all before it were. */
  rate(matchLength: number): number {
    return this.#rates[kindOf(matchLength)];
  }

  /** Whether a draft is due that the rate alone would not allow. */
  get isProbeDue(): boolean {
    return this.#stepsSinceDraft >= this.#rest;
  }

  /** A step with a draft of `drafted` tokens, of which the first `accepted` were right. */
  onDraft(matchLength: number, drafted: number, accepted: number): void {
    const kind = kindOf(matchLength);
    this.#stepsSinceDraft = 0;
    for (let index = 0; index < Math.min(drafted, accepted + 1); index += 1) this.#rates[kind] += gain * ((index < accepted ? 1 : 0) - this.#rates[kind]);
    this.#rest = accepted > 0 ? firstRest : Math.min(restMax, this.#rest * 2);
  }

  onPlainStep(): void {
    this.#stepsSinceDraft += 1;
  }
}

function kindOf(matchLength: number): 'short' | 'long' {
  return matchLength >= longMatch ? 'long' : 'short';
}
