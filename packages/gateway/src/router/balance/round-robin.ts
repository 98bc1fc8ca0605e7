import { first, type BalancePolicy } from './policy.ts';

/**
 * In turn, and with weights as often as the weight says, as evenly spread as can be: the least start tag goes first (stride
 * scheduling, Waldspurger and Weihl 1995; start-time fair queueing, Goyal et al. 1996). Equal weights make plain round robin.
 */
export const roundRobin: BalancePolicy = { choose: (candidates) => first(candidates, (a, b) => a.pass - b.pass) };
