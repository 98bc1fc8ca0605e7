import { argmax } from './argmax.ts';
import { expOfNegative, negligibleLogRatio } from './exponential.ts';

export interface ScoredToken {
  readonly id: number;
  /** Natural logarithm of the model's own probability, before any sampling parameter; −∞ for an impossible token. */
  readonly logprob: number;
}

export interface TokenScores {
  readonly logprob: number;
  /** The likeliest tokens, best first; of equals the lower id. Impossible ones are not listed. */
  readonly top: readonly ScoredToken[];
}

/** Scores the chosen token and the `topCount` likeliest ones. `logits`: [vocabularySize]; NaN counts as −∞. */
export function scoreToken(logits: Float32Array, chosen: number, topCount: number): TokenScores {
  const greatest = logits[argmax(logits)] as number;
  const logSum = Math.log(sumOfExponentials(logits, greatest));
  const logprobOf = (id: number) => {
    const logit = logits[id] as number;
    return logit > -Infinity ? logit - greatest - logSum : -Infinity;
  };
  return {
    logprob: logprobOf(chosen),
    top: likeliest(logits, topCount).map((id) => ({ id, logprob: logprobOf(id) })),
  };
}

/** Σ exp(logit − greatest), which cannot overflow. */
function sumOfExponentials(logits: Float32Array, greatest: number): number {
  const { length } = logits;
  let sum = 0;
  for (let id = 0; id < length; id += 1) {
    const logRatio = (logits[id] as number) - greatest;
    if (logRatio >= negligibleLogRatio) sum += expOfNegative(logRatio);
  }
  return sum;
}

/** The ids of the `count` greatest logits, by insertion: `count` is small, and few tokens get past the least of those found. */
function likeliest(logits: Float32Array, count: number): number[] {
  const { length } = logits;
  const top: number[] = [];
  const logitAt = (place: number) => logits[top[place] as number] as number;
  let least = count > 0 ? -Infinity : Infinity;
  for (let id = 0; id < length; id += 1) {
    const logit = logits[id] as number;
    if (!(logit > least)) continue;
    let place = top.length;
    while (place > 0 && logitAt(place - 1) < logit) place -= 1;
    top.splice(place, 0, id);
    if (top.length > count) top.pop();
    if (top.length === count) least = logitAt(count - 1);
  }
  return top;
}
