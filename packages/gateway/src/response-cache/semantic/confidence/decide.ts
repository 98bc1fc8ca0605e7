import type { Belief } from './belief.ts';

export interface DecisionInput extends Belief {
  /** The share of wrong answers that is tolerated among those that are served. */
  readonly errorMax: number;
  /** Of the trusted ones, at least this share is checked all the same: or what changes would never show. */
  readonly checkShare: number;
  /** 0 … 1. */
  readonly random: number;
}

/**
 * `serve` the kept answer; `check` it: compute as if it were not there, then compare; `distrust` it: the same, but for want of confidence.
 */
export type Decision = 'serve' | 'check' | 'distrust';

/** The fewer checks a belief rests on, the more often it is checked: luck is found out before it has done much harm. */
export function decide({ error, checks, errorMax, checkShare, random }: DecisionInput): Decision {
  if (error > errorMax) return 'distrust';
  const share = Math.max(checkShare, Math.min(1, 0.25 / (errorMax * checks)));
  return random < share ? 'check' : 'serve';
}
