import { levelOf } from '@open-autoglm/protocol';
import { workOf, type QueuePolicy } from './policy.ts';

/**
 * A multi-level feedback queue whose requests join at the level of their predicted work (skip-join, FastServe, Wu et al. 2023); within
 * a level the one with the shortest predicted answer is next. A level is what may be wrong about a prediction: requests of one level
 * differ by less than `priority_weight`, and one takes the place of another that has begun only where it is of a lower one. Where the
 * prediction was too small, the engine lets it sink.
 */
export const mlfq: QueuePolicy = {
  place: (waiting, situation) => ({ level: levelOf(workOf(waiting, situation), situation), rank: waiting.expectedTokens }),
  ages: true,
  sinks: true,
};
