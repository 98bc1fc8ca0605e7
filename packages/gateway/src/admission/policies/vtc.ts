import type { QueuePolicy } from './policy.ts';

/**
 * First come, first served within a tenant, and the tenant that has had the fewest weighted tokens is next: `fairness: vtc` with `fcfs`.
 */
export const vtc: QueuePolicy = { place: ({ order }) => ({ level: 0, rank: order }), ages: false, isFair: true };
