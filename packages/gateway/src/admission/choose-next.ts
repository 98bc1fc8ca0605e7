import type { Place, QueuePolicy } from './policies/index.ts';

export interface Aged {
  readonly arrivedAtMs: number;
  readonly place: Place;
  readonly tenant: string;
}

/** Weighted tokens that were given. */
export interface Served {
  /** To all tenants of this one's key. */
  toKey(tenant: string): number;
  toTenant(tenant: string): number;
}

export interface Choice {
  readonly policy: Pick<QueuePolicy, 'ages'>;
  readonly nowMs: number;
  /** After so long nobody who came later is served before. */
  readonly agingMs: number;
  /**
   * The key that has had the fewest weighted tokens is next, of its tenants the one that has, and the policy orders that one's requests
   * (virtual token counter, Sheng et al. 2024): two that both have requests waiting differ by no more than twice what one request, or
   * the tokens under way, may weigh, however many requests either sends, under however many names. Aging holds within a tenant: all
   * that a flood sends would soon be old. Absent: tenants are as one.
   */
  readonly served?: Served | undefined;
}

/**
 * Whose turn it is among those that wait in the order of their arrival; -1 where nobody does. The first of them has
 * waited longest: while it is older than the bound it is next, whatever the policy says of the others.
 */
export function chooseNext(waiting: readonly Aged[], { policy, nowMs, agingMs, served }: Choice): number {
  const tenant = served && leastServed(waiting, served);
  let best = -1;
  for (let index = 0; index < waiting.length; index += 1) {
    const one = waiting[index] as Aged;
    if (tenant !== undefined && one.tenant !== tenant) continue;
    if (best === -1 && policy.ages && nowMs - one.arrivedAtMs >= agingMs) return index;
    if (best === -1 || isBefore(one.place, (waiting[best] as Aged).place)) best = index;
  }
  return best;
}

/** Of equals the first to come stays the best. */
export function isBefore(a: Place, b: Place): boolean {
  return a.level < b.level || (a.level === b.level && a.rank < b.rank);
}

function leastServed(waiting: readonly Aged[], served: Served): string | undefined {
  let least = { key: Infinity, tenant: Infinity };
  let found: string | undefined;
  for (const { tenant } of waiting) {
    const one = { key: served.toKey(tenant), tenant: served.toTenant(tenant) };
    if (one.key > least.key || (one.key === least.key && one.tenant >= least.tenant)) continue;
    [least, found] = [one, tenant];
  }
  return found;
}
