import type { BalancePolicy } from './policy.ts';

/** By chance, as often as the weight says: many gateways that do this together do not march in step. */
export const weightedRandom: BalancePolicy = {
  choose(candidates, { random }) {
    let left = random() * candidates.reduce((sum, { weight }) => sum + weight, 0);
    const index = candidates.findIndex(({ weight }) => (left -= weight) < 0);
    return index === -1 ? candidates.length - 1 : index;
  },
};
