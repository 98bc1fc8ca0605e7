import { leastConnections } from './least-connections.ts';
import type { BalancePolicy, Candidate, Choice } from './policy.ts';

/** Nobody gets more than this times the average load for its weight. */
export const loadFactorMax = 1.25;

/** The same replica for the same client address, as long as it is there. */
export const ipHash: BalancePolicy = { choose: boundedHash, keyedBy: 'address' };

/** The same replica for the same session, whose prefix it then has in its cache. */
export const sessionHash: BalancePolicy = { choose: boundedHash, keyedBy: 'session' };

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker 2005): a replica that
 * comes or goes moves only its own keys. With bounded loads (Mirrokni et al. 2018): from a full replica a key goes on to its
 * next best, so that one popular session cannot bury its home. Without a key, the least loaded.
 */
function boundedHash(candidates: readonly Candidate[], choice: Choice): number {
  const { key } = choice;
  if (key === undefined) return leastConnections.choose(candidates, choice);
  const outstanding = candidates.reduce((sum, candidate) => sum + candidate.outstanding, 0);
  const weights = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let best = -1;
  let bestScore = -Infinity;
  for (const [index, candidate] of candidates.entries()) {
    const isFull = candidate.outstanding + 1 > Math.ceil((loadFactorMax * (outstanding + 1) * candidate.weight) / weights);
    if (isFull) continue;
    const score = scoreOf(key, candidate);
    if (score > bestScore) [best, bestScore] = [index, score];
  }
  return best;
}

/** −weight / ln(u), u uniform in (0, 1) by key and candidate. */
function scoreOf(key: number, { id, weight }: Candidate): number {
  const uniform = (mix(key ^ id) + 0.5) / 2 ** 32;
  return -weight / Math.log(uniform);
}

/** The finaliser of MurmurHash3: every bit of the input moves half of the output's. */
function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
