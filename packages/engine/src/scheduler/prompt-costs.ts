/** A piece of a prompt that was read, and how long that took. */
export interface ReadPiece {
  /** Tokens of the prompt before it. */
  readonly computed: number;
  readonly count: number;
  readonly milliseconds: number;
}

/** What a prompt token adds to its own cost for each token before it, as a share of that cost. */
export type DepthSlope = number;

/** By each further piece, those before count so much less: about the last sixteen matter. */
const memory = 15 / 16;
/** Pieces that begin this near to each other, in tokens (the standard deviation), say nothing of a slope: what they differ in is chance. */
const spreadMin = 128;

/**
 * How much dearer prompt tokens grow with what lies before them. Their products cost the same everywhere, their attention looks at
 * all tokens before: milliseconds a token = a + b × depth. Fitted to what was measured last, by weighted least squares with sums that fade.
 * Costs constant time and memory. Which pieces are cut changes no bit of an answer, so a noisy clock cannot either.
 */
export class PromptCosts {
  /** Of weights, depths, depths², milliseconds a token, and their products with depths. */
  #weight = 0;
  #depth = 0;
  #depthSquared = 0;
  #time = 0;
  #timeDepth = 0;
  #slope: DepthSlope = 0;

  /** 0 until pieces of different depths were read. */
  get slope(): DepthSlope {
    return this.#slope;
  }

  add({ computed, count, milliseconds }: ReadPiece): void {
    if (count <= 0 || !(milliseconds > 0)) return;
    const depth = computed + count / 2;
    const time = milliseconds / count;
    this.#weight = this.#weight * memory + 1;
    this.#depth = this.#depth * memory + depth;
    this.#depthSquared = this.#depthSquared * memory + depth * depth;
    this.#time = this.#time * memory + time;
    this.#timeDepth = this.#timeDepth * memory + time * depth;
    const depthMean = this.#depth / this.#weight;
    const variance = this.#depthSquared / this.#weight - depthMean * depthMean;
    // Pieces of one depth tell of no other: what was learnt before holds.
    if (variance < spreadMin * spreadMin) return;
    const timeMean = this.#time / this.#weight;
    const rise = (this.#timeDepth / this.#weight - timeMean * depthMean) / variance;
    const atBeginning = timeMean - rise * depthMean;
    if (atBeginning > 0) this.#slope = Math.max(0, rise / atBeginning);
  }
}

/** What `count` tokens after `computed` cost, counted in tokens at the beginning of a prompt. */
export function weighPiece(computed: number, count: number, slope: DepthSlope): number {
  return count * (1 + slope * (computed + count / 2));
}

/** The most tokens after `computed` that cost no more than `budget`, counted as `weighPiece` does. */
export function affordable(computed: number, budget: number, slope: DepthSlope): number {
  if (budget <= 0) return 0;
  if (slope === 0) return Math.floor(budget);
  const first = 1 + slope * computed;
  // The root of slope ⁄ 2 · n² + first · n = budget, written so that a small slope does not cancel it out.
  return Math.floor((2 * budget) / (first + Math.sqrt(first * first + 2 * slope * budget)));
}
