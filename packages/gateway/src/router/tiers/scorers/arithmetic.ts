import { checkArithmetic } from '../policy/arithmetic.ts';
import type { Scorer } from './sample.ts';

/** The share of the sums in the answer that are right. */
export const arithmetic: Scorer = ({ text }) => {
  const { count, wrong } = checkArithmetic(text);
  return count === 0 ? undefined : 1 - wrong / count;
};
