import type { Scorer } from './sample.ts';

/** The tokens' mean probability (geometric): how surely the model said what it said. */
export const logprob: Scorer = ({ logprobs }) => (logprobs?.length ? Math.exp(mean(logprobs)) : undefined);

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
