/** A sequence that holds a place. */
export interface RunningSequence {
  /** Grows in the order of arrival. */
  readonly order: number;
  /** Tokens whose keys and values would have to be computed again. */
  readonly computed: number;
}

/**
 * Who gives its memory away when there is no more: the one that has the least to compute again, the youngest of equals.
 * Never the oldest: so one sequence always goes on to its end, then the next, and nobody is put off for ever.
 */
export function chooseVictim<S extends RunningSequence>(running: readonly S[]): S | undefined {
  const oldest = Math.min(...running.map(({ order }) => order));
  return running
    .filter(({ order }) => order !== oldest)
    .reduce<S | undefined>((best, next) => (best === undefined || next.computed < best.computed || (next.computed === best.computed && next.order > best.order) ? next : best), undefined);
}
