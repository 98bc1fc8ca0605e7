/** A token's natural log-probability by the model's own distribution, before any sampling parameter. */
export interface ScoredToken {
  readonly id: number;
  readonly logprob: number;
}

export interface TokenScores {
  readonly logprob: number;
  /** The likeliest tokens, best first; of equals the lower id. */
  readonly top: readonly ScoredToken[];
}

/** Scores the chosen token and the `topCount` likeliest ones. */
export function scoreToken(logits: Float32Array, chosen: number, topCount: number): TokenScores {
  const normaliser = logSumExp(logits);
  const top: { id: number; logit: number }[] = [];
  for (let id = 0; topCount > 0 && id < logits.length; id += 1) {
    const logit = logits[id] as number;
    if (top.length === topCount && !(logit > (top[topCount - 1]?.logit as number))) continue;
    const place = top.findIndex((entry) => logit > entry.logit);
    top.splice(place === -1 ? top.length : place, 0, { id, logit });
    if (top.length > topCount) top.pop();
  }
  return {
    logprob: (logits[chosen] as number) - normaliser,
    top: top.map(({ id, logit }) => ({ id, logprob: logit - normaliser })),
  };
}

function logSumExp(logits: Float32Array): number {
  let greatest = -Infinity;
  for (const logit of logits) if (logit > greatest) greatest = logit;
  let sum = 0;
  for (const logit of logits) if (logit > -Infinity) sum += Math.exp(logit - greatest);
  return greatest + Math.log(sum);
}
