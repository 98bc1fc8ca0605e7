import type { QueuePolicy } from './policy.ts';

/** First come, first served. Who comes behind a long answer waits for it. */
export const fcfs: QueuePolicy = { place: ({ order }) => ({ level: 0, rank: order }), ages: false };
