import type { Sampling } from '@open-autoglm/protocol';

/** How often each token stood in the prompt and in the answer so far. */
export class TokenCounts {
  readonly #seen = new Set<number>();
  readonly #generated = new Map<number, number>();

  addPrompt(tokens: Iterable<number>): void {
    for (const token of tokens) this.#seen.add(token);
  }

  addGenerated(token: number): void {
    this.#seen.add(token);
    this.#generated.set(token, (this.#generated.get(token) ?? 0) + 1);
  }

  get seen(): Iterable<number> {
    return this.#seen;
  }

  get generated(): Iterable<[token: number, count: number]> {
    return this.#generated;
  }
}

/**
 * Changes the logits of tokens that were seen. Repetition (Keskar et al. 2019, CTRL) counts prompt and answer; presence and
 * frequency count the answer alone, as OpenAI defines them.
 */
export function applyPenalties(logits: Float32Array, counts: TokenCounts, sampling: Sampling): void {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  if (repetitionPenalty !== 1) {
    for (const token of counts.seen) {
      const logit = logits[token] as number;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  }
  if (presencePenalty === 0 && frequencyPenalty === 0) return;
  for (const [token, count] of counts.generated) {
    logits[token] = (logits[token] as number) - presencePenalty - frequencyPenalty * count;
  }
}

export function applyLogitBias(logits: Float32Array, bias: Sampling['logitBias']): void {
  for (const [token, value] of Object.entries(bias)) {
    const index = Number(token);
    if (index < logits.length) logits[index] = (logits[index] as number) + value;
  }
}
