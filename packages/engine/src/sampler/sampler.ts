import type { Sampling } from '@open-autoglm/protocol';
import { argmax } from './argmax.ts';
import { createCandidates, draw, gather, lowestLogit, weigh, type Candidates } from './candidates.ts';
import { applyLogitBias, parseLogitBias } from './logit-bias.ts';
import { applyPenalties, hasPenalties, type GeneratedCounts } from './penalties.ts';
import { createRandom } from './random.ts';
import { keepTopP } from './top-p.ts';

/** Chooses the tokens of one sequence. The same seed and logits give the same tokens, whatever other sequences do. */
export interface Sampler {
  /**
   * The next token. `logits`: [vocabularySize]; neither kept nor changed. NaN counts as −∞, which is never chosen while
   * anything else is there; token 0 is when nothing else is. Greedy ties go to the lowest id.
   */
  sample(logits: Float32Array): number;
  /** Tells the sampler which token came of it. */
  accept(token: number): void;
}

/**
 * Memory for one choice at a time. No choice reads what another left, and JavaScript makes one at a time: all samplers of a vocabulary
 * share it.
 */
export interface SamplerScratch {
  readonly logits: Float32Array;
  /** Logits of the tokens that a grammar allows. */
  readonly masked: Float32Array;
  readonly candidates: Candidates;
}

export function createSamplerScratch(vocabularySize: number): SamplerScratch {
  return {
    logits: new Float32Array(vocabularySize),
    masked: new Float32Array(vocabularySize),
    candidates: createCandidates(vocabularySize),
  };
}

/**
 * Logit bias, penalties, temperature, min-p, top-k, top-p, in vLLM's order, then a draw. Truncation after temperature looks
 * at the probabilities that the draw has; min-p and top-k may change places, and go first because they are cheapest.
 */
export function createSampler(sampling: Sampling, prompt: Iterable<number>, scratch: SamplerScratch): Sampler {
  const { temperature, topK, topP, minP } = sampling;
  const bias = parseLogitBias(sampling.logitBias);
  const penalizes = hasPenalties(sampling);
  const counts: GeneratedCounts = new Map();
  if (penalizes) for (const token of prompt) counts.set(token, 0);
  const random = createRandom(sampling.seed);

  const adjust = (logits: Float32Array): Float32Array => {
    if (!penalizes && bias.length === 0) return logits;
    scratch.logits.set(logits);
    applyLogitBias(scratch.logits, bias);
    applyPenalties(scratch.logits, counts, sampling);
    return scratch.logits;
  };

  return {
    sample(logits) {
      const adjusted = adjust(logits);
      const likeliest = argmax(adjusted);
      const greatest = adjusted[likeliest] as number;
      if (temperature === 0 || !Number.isFinite(greatest)) return likeliest;
      const { candidates } = scratch;
      gather(candidates, adjusted, lowestLogit(greatest, temperature, minP), topK);
      const total = weigh(candidates, adjusted, greatest, temperature);
      const kept = keepTopP(candidates, topP, total);
      return draw(candidates, kept, random());
    },
    accept(token) {
      if (penalizes) counts.set(token, (counts.get(token) ?? 0) + 1);
    },
  };
}
