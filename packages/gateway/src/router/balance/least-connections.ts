import { first, type BalancePolicy } from './policy.ts';

/** The one with the fewest unfinished requests for its weight; of equals, in turn and by weight. A slow replica gets less by itself. */
export const leastConnections: BalancePolicy = {
  choose: (candidates) => first(candidates, (a, b) => a.outstanding / a.weight - b.outstanding / b.weight || a.pass - b.pass),
};
