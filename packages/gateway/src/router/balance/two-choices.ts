import { loadOf, type BalancePolicy, type Candidate, type Choice } from './policy.ts';

/**
 * The less loaded of two picked by chance (Mitzenmacher 2001): nearly as even as looking at all, and many gateways that see
 * the same idle replica do not all run to it.
 */
export const twoChoices: BalancePolicy = { choose: (candidates, choice) => betterOfTwo(candidates, choice, loadOf) };

/** The index of the one that costs less, of two different ones. */
export function betterOfTwo(candidates: readonly Candidate[], { random }: Choice, costOf: (candidate: Candidate) => number): number {
  const count = candidates.length;
  if (count === 1) return 0;
  const one = Math.min(count - 1, Math.floor(random() * count));
  const step = 1 + Math.min(count - 2, Math.floor(random() * (count - 1)));
  const other = (one + step) % count;
  return costOf(candidates[other] as Candidate) < costOf(candidates[one] as Candidate) ? other : one;
}
