import type { Place, QueuePolicy } from './policies/index.ts';

export interface Aged {
  readonly arrivedAtMs: number;
  readonly place: Place;
}

export interface Choice {
  readonly policy: Pick<QueuePolicy, 'ages'>;
  readonly nowMs: number;
  /** After so long nobody who came later is served before. */
  readonly agingMs: number;
}

/**
 * Whose turn it is among those that wait in the order of their arrival; -1 where nobody does. The first of them has
 * waited longest: while it is older than the bound it is next, whatever the policy says of the others.
 */
export function chooseNext(waiting: readonly Aged[], { policy, nowMs, agingMs }: Choice): number {
  const first = waiting[0];
  if (!first) return -1;
  if (policy.ages && nowMs - first.arrivedAtMs >= agingMs) return 0;
  let best = 0;
  for (let index = 1; index < waiting.length; index += 1) {
    if (isBefore((waiting[index] as Aged).place, (waiting[best] as Aged).place)) best = index;
  }
  return best;
}

/** Of equals the first to come stays the best. */
function isBefore(a: Place, b: Place): boolean {
  return a.level < b.level || (a.level === b.level && a.rank < b.rank);
}
