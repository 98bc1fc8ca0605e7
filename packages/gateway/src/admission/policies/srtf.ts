import { workOf, type QueuePolicy } from './policy.ts';

/**
 * Shortest remaining time first, by prediction: the least mean wait that any order can give (Schrage 1968), as far as the
 * prediction is right. One that waits has all of its time left; those that run keep their places.
 */
export const srtf: QueuePolicy = {
  place: (waiting, situation) => ({ level: 0, rank: workOf(waiting, situation) }),
  ages: true,
  changes: false,
};
