import { first, type BalancePolicy } from './policy.ts';

/** The one with the fewest unfinished requests for its weight, the new one counted; of equals, in turn. A slow replica gets less by itself. */
export const leastOutstanding: BalancePolicy = (candidates) =>
  first(candidates, (a, b) => (a.outstanding + 1) / a.weight - (b.outstanding + 1) / b.weight || a.pass - b.pass);
