import { affordable, weighPiece, type DepthSlope } from './prompt-costs.ts';

/** How far a sequence is in its prompt. */
export interface PromptProgress {
  readonly promptLength: number;
  readonly computed: number;
  /** Tokens that its place has room for before some must go. */
  readonly room?: number;
}

export interface SchedulerLimits {
  readonly maxBatchSize: number;
  /** Tokens of one step while something decodes: decodes first, then prompt chunks, whose tokens count more the more lie before them. */
  readonly stepTokenBudget: number;
  /** Most prompt tokens that one graph takes. */
  readonly maxChunk: number;
  /** False: a batch is filled, runs to its end, and only then is the next one let in. */
  readonly continuous: boolean;
}

/**
 * Prompts are cut at multiples of this, and no piece is computed with fewer tokens unless the prompt has fewer: one that is shorter
 * takes those before it along. ggml's attention kernel for many
 * queries works in tiles of 64 and another kernel serves fewer: cut so, a prompt gives the same logits in one piece or many.
 */
export const chunkGranularity = 64;

/**
 * How many waiting sequences may join `runningCount` that have a place, of which there were `runningBefore` when the step began:
 * iteration-level scheduling (Orca, Yu et al. 2022), or a batch that is only filled where none was running.
 */
export function countAdmissible(runningCount: number, runningBefore: number, limits: SchedulerLimits): number {
  return limits.continuous || runningBefore === 0 ? limits.maxBatchSize - runningCount : 0;
}

/**
 * The prompt tokens that one step reads beside its decodes: chunked prefill (Sarathi-Serve, Agrawal et al. 2024). When
 * nothing decodes, nobody waits for the end of the step, and chunks would only cost. Otherwise tokens deep in a prompt count for
 * as many at its beginning as cost the same: steps then take about as long from its beginning to its end.
 */
export class PromptBudget {
  readonly #maxChunk: number;
  readonly #slope: DepthSlope;
  #left: number;
  #isUntouched = true;

  constructor(decodingCount: number, { stepTokenBudget, maxChunk }: SchedulerLimits, slope: DepthSlope = 0) {
    this.#maxChunk = maxChunk;
    this.#slope = decodingCount === 0 ? 0 : slope;
    this.#left = decodingCount === 0 ? Math.max(maxChunk, stepTokenBudget) : Math.max(0, stepTokenBudget - decodingCount);
  }

  get left(): number {
    return this.#left;
  }

  get hasRoom(): boolean {
    return this.#isUntouched || this.#left > 0;
  }

  /** Tokens of the prompt to read in this step; 0 where the budget is spent. */
  take({ promptLength, computed, room = Infinity }: PromptProgress): number {
    // The first prompt always moves, or running sequences could starve it for ever.
    const left = affordable(computed, this.#left, this.#slope);
    const limit = Math.min(this.#isUntouched ? Math.max(left, chunkGranularity) : left, this.#maxChunk, room);
    const piece = chunkLength(promptLength - computed, limit);
    if (piece === 0) return 0;
    // Beyond the limit nothing is taken along: a rest that is too short to stand alone is read next time, in company.
    const chunk = piece > limit ? chunkGranularity : piece;
    // A piece that is shorter because the rest was in the cache is computed in company.
    const computes = Math.max(chunk, Math.min(chunkGranularity, computed + chunk));
    this.#left = Math.max(0, this.#left - weighPiece(computed + chunk - computes, computes, this.#slope));
    this.#isUntouched = false;
    return chunk;
  }
}

/** The next piece of a prompt of which `left` tokens are to be read, at most about `limit`; 0 when too little is left of the limit. */
export function chunkLength(left: number, limit: number): number {
  if (left <= limit) return left;
  const whole = Math.floor(limit / chunkGranularity) * chunkGranularity;
  if (whole === 0) return 0;
  if (left - whole >= chunkGranularity) return whole;
  // The rest would be too short to stand alone: leave it a granule more, or take it along.
  return whole > chunkGranularity ? whole - chunkGranularity : left;
}
