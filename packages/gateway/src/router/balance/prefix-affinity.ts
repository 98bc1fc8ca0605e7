import { leastConnections } from './least-connections.ts';
import { loadOf, type BalancePolicy } from './policy.ts';

/** A match is followed up to this times the average load; one below this share of the prompt is worth nothing. */
const loadFactorMax = 1.5;
const matchMin = 0.1;

/**
 * Where most of the prompt has been read before, its KV cache makes the first token early (SGLang's cache-aware router) —
 * unless that replica is busier than the others by more than the cache can be worth. Of equal matches, the less loaded.
 */
export const prefixAffinity: BalancePolicy = {
  usesPrefix: true,
  choose(candidates, choice) {
    const best = Math.max(...candidates.map(({ prefixMatch }) => prefixMatch));
    if (best < matchMin) return leastConnections.choose(candidates, choice);
    const average = candidates.reduce((sum, candidate) => sum + loadOf(candidate), 0) / candidates.length;
    const matching = candidates.filter(
      (candidate) =>
        candidate.prefixMatch >= best && loadOf(candidate) <= Math.max(average * loadFactorMax, loadOf({ ...candidate, outstanding: 1 })),
    );
    if (matching.length === 0) return leastConnections.choose(candidates, choice);
    return candidates.indexOf(matching[leastConnections.choose(matching, choice)] as (typeof candidates)[number]);
  },
};
