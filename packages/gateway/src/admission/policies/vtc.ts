import type { QueuePolicy } from './policy.ts';

/**
 * The tenant that has had the fewest weighted tokens is next (virtual token counter, Sheng et al. 2024), and of its requests the
 * first. Two tenants that both have requests waiting differ by no more than twice what one request, or the tokens under way,
 * may weigh, however many requests either sends. No aging: all that a flood sends would soon be old.
 */
export const vtc: QueuePolicy = { place: ({ tenant }, situation) => ({ level: 0, rank: situation.servedTo(tenant) }), ages: false, changes: true };
