import type { Scorer } from './sample.ts';

/** A single unlikely token may be a matter of wording; so many in a row are a guess. */
const windowSize = 4;

/** The mean probability of the least sure few tokens in a row: a long answer must not hide its one guess. */
export const weakestLogprob: Scorer = ({ logprobs }) => {
  if (!logprobs?.length) return undefined;
  const size = Math.min(windowSize, logprobs.length);
  let sum = 0;
  let weakest = Infinity;
  for (const [index, value] of logprobs.entries()) {
    sum += value - (index >= size ? (logprobs[index - size] as number) : 0);
    if (index >= size - 1) weakest = Math.min(weakest, sum);
  }
  return Math.exp(weakest / size);
};
