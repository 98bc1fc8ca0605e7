import { first, loadOf, type BalancePolicy } from './policy.ts';

/** The one with the fewest unfinished requests for its weight; of equals, in turn. A slow replica gets less by itself. */
export const leastConnections: BalancePolicy = { choose: (candidates) => first(candidates, (a, b) => loadOf(a) - loadOf(b) || a.pass - b.pass) };
