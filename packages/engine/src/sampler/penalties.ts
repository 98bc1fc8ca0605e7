import type { Sampling } from '@open-autoglm/protocol';

/** How often each token of the prompt and the answer was generated; 0 for those that stand in the prompt alone. */
export type GeneratedCounts = Map<number, number>;

export function hasPenalties({ repetitionPenalty, presencePenalty, frequencyPenalty }: Sampling): boolean {
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

/**
 * Changes the logits of tokens seen. Repetition counts the prompt and the answer, and is applied first; presence and
 * frequency count the answer alone, as OpenAI defines them.
 */
export function applyPenalties(logits: Float32Array, counts: GeneratedCounts, sampling: Sampling): void {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  for (const [token, count] of counts) {
    const logit = logits[token] as number;
    const repeated = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    logits[token] = count === 0 ? repeated : repeated - presencePenalty - frequencyPenalty * count;
  }
}
