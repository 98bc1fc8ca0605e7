import { workOf, type QueuePolicy, type Situation } from './policy.ts';

const levelMax = 63;

/**
 * A multi-level feedback queue whose requests join at the level of their predicted work instead of sinking to it (skip-join, FastServe, Wu et al.
 * 2023); within a level the one with the shortest predicted answer is next. A level is what may be wrong about a prediction: requests of
 * one level differ by less than `priority_weight`, and one takes the place of another that has begun only where it is of a lower one.
 */
export const mlfq: QueuePolicy = {
  place: (waiting, situation) => ({ level: levelOf(workOf(waiting, situation), situation), rank: waiting.expectedTokens }),
  ages: true,
  changes: false,
};

/** The first level whose slice holds so much work. */
export function levelOf(workMs: number, { timeSliceMs, priorityWeight }: Pick<Situation, 'timeSliceMs' | 'priorityWeight'>): number {
  if (!(workMs > timeSliceMs)) return 0;
  return Math.min(levelMax, Math.ceil(Math.log(workMs / timeSliceMs) / Math.log(priorityWeight)));
}
