import { levelOf } from '@open-autoglm/protocol';
import { workOf, type QueuePolicy } from './policy.ts';

/**
 * Shortest remaining time first, by prediction: the least mean wait that any order can give (Schrage 1968), as far as the
 * prediction is right. Levels change nothing of this order; they say who is so much longer that it may be made to wait again.
 */
export const srtf: QueuePolicy = {
  place(waiting, situation) {
    const workMs = workOf(waiting, situation);
    return { level: levelOf(workMs, situation), rank: workMs };
  },
  ages: true,
  sinks: true,
};
