import { laneOf, type Ranked } from './standing.ts';

/** A sequence that holds a place. */
export interface RunningSequence extends Pick<Ranked, 'order' | 'request'> {
  /** Tokens whose keys and values would have to be computed again. */
  readonly computed: number;
}

/**
 * Who gives its memory away when there is no more: one of the batch lane where there is any, of those the one that has the least to
 * compute again, the youngest of equals.
 * Never the oldest: so one sequence always goes on to its end, then the next, and nobody is put off for ever.
 */
export function chooseVictim<S extends RunningSequence>(running: readonly S[]): S | undefined {
  const oldest = Math.min(...running.map(({ order }) => order));
  const others = running.filter(({ order }) => order !== oldest);
  const batch = others.filter((sequence) => laneOf(sequence) === 'batch');
  return (batch.length > 0 ? batch : others).reduce<S | undefined>(
    (best, next) =>
      best === undefined || next.computed < best.computed || (next.computed === best.computed && next.order > best.order) ? next : best,
    undefined,
  );
}
