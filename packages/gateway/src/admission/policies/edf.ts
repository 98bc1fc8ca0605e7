import type { QueuePolicy } from './policy.ts';

/** Earliest deadline first (Liu and Layland 1973): meets every deadline where that is possible at all. Those without one come last. */
export const edf: QueuePolicy = {
  place: ({ deadlineAtMs }) => ({ level: 0, rank: deadlineAtMs ?? Number.MAX_VALUE }),
  ages: true,
};
