import { leastOutstanding } from './least-outstanding.ts';
import type { BalancePolicy } from './policy.ts';
import { roundRobin } from './round-robin.ts';

export type { BalancePolicy, Candidate } from './policy.ts';

/** By their names in the configuration (`router.balance`). */
export const balancePolicies: Readonly<Record<BalanceName, BalancePolicy>> = {
  round_robin: roundRobin,
  least_outstanding: leastOutstanding,
};

export type BalanceName = 'round_robin' | 'least_outstanding';
