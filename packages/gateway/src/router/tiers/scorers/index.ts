import { arithmetic } from './arithmetic.ts';
import { logprob } from './logprob.ts';
import type { AnswerSample, Scorer } from './sample.ts';
import { shape } from './shape.ts';
import { weakestLogprob } from './weakest-logprob.ts';

export type { AnswerSample, Scorer } from './sample.ts';

/** By their names in the configuration (`tiers.scores_min`). */
export const scorers = { logprob, weakest_logprob: weakestLogprob, shape, arithmetic } as const satisfies Readonly<Record<string, Scorer>>;

export type ScorerName = keyof typeof scorers;
/** `self_check` asks the model, and so is no pure function. */
export type ScoreName = ScorerName | 'self_check';
export type Scores = Readonly<Partial<Record<ScoreName, number>>>;

/** Those that need the engine to tell its tokens' probabilities. */
export const needsLogprobs: readonly ScoreName[] = ['logprob', 'weakest_logprob'];

/** The scores of an answer, by name; of several choices the lowest. What no scorer can say is left out. */
export function scoreAnswer(samples: readonly AnswerSample[], names: readonly ScorerName[]): Partial<Record<ScoreName, number>> {
  const scores: Partial<Record<ScoreName, number>> = {};
  for (const name of names) {
    const said = samples.map((sample) => scorers[name](sample)).filter((score) => score !== undefined);
    if (said.length > 0) scores[name] = Math.min(...said);
  }
  return scores;
}
