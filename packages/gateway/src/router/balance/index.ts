import { ipHash, sessionHash } from './bounded-hash.ts';
import { devices } from './devices.ts';
import { leastConnections } from './least-connections.ts';
import { peakEwma } from './peak-ewma.ts';
import type { BalancePolicy } from './policy.ts';
import { prefixAffinity } from './prefix-affinity.ts';
import { roundRobin } from './round-robin.ts';
import { twoChoices } from './two-choices.ts';
import { weightedRandom } from './weighted-random.ts';

export type { BalancePolicy, Candidate, Choice } from './policy.ts';

/** By their names in the configuration (`router.balance`). */
export const balancePolicies = {
  round_robin: roundRobin,
  weighted_random: weightedRandom,
  least_connections: leastConnections,
  ip_hash: ipHash,
  session_hash: sessionHash,
  two_choices: twoChoices,
  peak_ewma: peakEwma,
  prefix_affinity: prefixAffinity,
  devices,
} as const satisfies Readonly<Record<string, BalancePolicy>>;

export type BalanceName = keyof typeof balancePolicies;
