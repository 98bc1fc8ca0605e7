import type { Place, QueuePolicy } from './policies/index.ts';

export interface Aged {
  readonly arrivedAtMs: number;
  readonly place: Place;
  readonly tenant: string;
}

export interface Choice {
  readonly policy: Pick<QueuePolicy, 'ages'>;
  readonly nowMs: number;
  /** After so long nobody who came later is served before. */
  readonly agingMs: number;
  /**
   * Weighted tokens that a tenant has had. The one that has had the fewest is next, and the policy orders its own requests (virtual token counter,
   * Sheng et al. 2024): two tenants that both have requests waiting differ by no more than twice what one request, or the tokens under
   * way, may weigh, however many requests either sends. Aging holds within a tenant: all that a flood sends would soon be old. Absent: tenants are as one.
   */
  readonly servedTo?: ((tenant: string) => number) | undefined;
}

/**
 * Whose turn it is among those that wait in the order of their arrival; -1 where nobody does. The first of them has
 * waited longest: while it is older than the bound it is next, whatever the policy says of the others.
 */
export function chooseNext(waiting: readonly Aged[], { policy, nowMs, agingMs, servedTo }: Choice): number {
  const tenant = servedTo && leastServed(waiting, servedTo);
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

function leastServed(waiting: readonly Aged[], servedTo: (tenant: string) => number): string | undefined {
  let least = Infinity;
  let found: string | undefined;
  for (const { tenant } of waiting) {
    const served = servedTo(tenant);
    if (served >= least) continue;
    [least, found] = [served, tenant];
  }
  return found;
}
