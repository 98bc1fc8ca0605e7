/** What the plan needs to know of a sequence that is still reading its prompt. */
export interface PromptProgress {
  readonly promptLength: number;
  readonly computed: number;
}

export interface SchedulerState {
  /** First come first. */
  readonly waiting: readonly PromptProgress[];
  readonly prefilling: readonly PromptProgress[];
  readonly decodingCount: number;
}

export interface SchedulerLimits {
  readonly maxBatchSize: number;
  /** Tokens of one step while something decodes: decodes first, then prompt chunks. */
  readonly stepTokenBudget: number;
  /** Most prompt tokens that one graph takes. */
  readonly maxChunk: number;
  /** False: a batch is filled, runs to its end, and only then is the next one let in. */
  readonly continuous: boolean;
}

export interface StepPlan {
  /** How many of `waiting` join, from the front. They follow `prefilling`. */
  readonly admitted: number;
  /** Prompt tokens to read for `prefilling` followed by those admitted; 0 where the budget is spent. */
  readonly chunks: readonly number[];
}

/**
 * Prompts are cut at multiples of this, and no piece is shorter unless the prompt is. ggml's attention kernel for many
 * queries works in tiles of 64 and another kernel serves fewer: cut so, a prompt gives the same logits in one piece or many.
 */
export const chunkGranularity = 64;

/** Iteration-level scheduling (Orca, Yu et al. 2022) with chunked prefill (Sarathi-Serve, Agrawal et al. 2024). */
export function planStep(state: SchedulerState, limits: SchedulerLimits): StepPlan {
  const admitted = countAdmitted(state, limits);
  const prompts = [...state.prefilling, ...state.waiting.slice(0, admitted)];
  // Nothing decodes, nobody waits for the end of the step: chunks then only cost.
  let budget = state.decodingCount === 0 ? Math.max(limits.maxChunk, limits.stepTokenBudget) : Math.max(0, limits.stepTokenBudget - state.decodingCount);
  const chunks = prompts.map(({ promptLength, computed }, index) => {
    // The first prompt always moves, or running sequences could starve it for ever.
    const limit = Math.min(index === 0 ? Math.max(budget, chunkGranularity) : budget, limits.maxChunk);
    const chunk = chunkLength(promptLength - computed, limit);
    budget = Math.max(0, budget - chunk);
    return chunk;
  });
  return { admitted, chunks };
}

function countAdmitted(state: SchedulerState, limits: SchedulerLimits): number {
  const running = state.prefilling.length + state.decodingCount;
  if (!limits.continuous && running > 0) return 0;
  return Math.min(state.waiting.length, limits.maxBatchSize - running);
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
