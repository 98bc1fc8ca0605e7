import type { Sampling } from '@open-autoglm/protocol';
import { argmax } from './argmax.ts';
import { createCandidates, draw, fillCandidates, keepMinP, keepTopK, keepTopP, type Candidates } from './candidates.ts';
import { applyLogitBias, applyPenalties, TokenCounts } from './penalties.ts';
import { createRandom } from './random.ts';

/** Chooses the tokens of one sequence. The same seed and logits give the same tokens, whatever other sequences do. */
export interface Sampler {
  /** The next token. `logits`: [vocabularySize]; neither kept nor changed. */
  sample(logits: Float32Array): number;
  /** Tells the sampler which token came of it. */
  accept(token: number): void;
}

/** Memory for one choice at a time; JavaScript runs one at a time, so samplers of a vocabulary share it. */
export interface SamplerScratch {
  readonly logits: Float32Array;
  readonly candidates: Candidates;
}

export function createSamplerScratch(vocabularySize: number): SamplerScratch {
  return { logits: new Float32Array(vocabularySize), candidates: createCandidates(vocabularySize) };
}

/** Penalties, bias, temperature, top-k, top-p, min-p, in this order, then a draw. */
export function createSampler(sampling: Sampling, prompt: readonly number[], scratch: SamplerScratch): Sampler {
  const changesLogits = changesAnyLogit(sampling);
  const counts = new TokenCounts();
  if (changesLogits) counts.addPrompt(prompt);
  const random = createRandom(sampling.seed);

  const adjusted = (logits: Float32Array) => {
    if (!changesLogits) return logits;
    scratch.logits.set(logits);
    applyPenalties(scratch.logits, counts, sampling);
    applyLogitBias(scratch.logits, sampling.logitBias);
    return scratch.logits;
  };
  return {
    sample(logits) {
      const final = adjusted(logits);
      if (sampling.temperature === 0) return argmax(final);
      const { candidates } = scratch;
      fillCandidates(candidates, final, sampling.temperature);
      keepTopK(candidates, sampling.topK);
      keepTopP(candidates, sampling.topP);
      keepMinP(candidates, sampling.minP);
      return draw(candidates, random());
    },
    accept(token) {
      if (changesLogits) counts.addGenerated(token);
    },
  };
}

function changesAnyLogit({ repetitionPenalty, presencePenalty, frequencyPenalty, logitBias }: Sampling): boolean {
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0 || Object.keys(logitBias).length > 0;
}
