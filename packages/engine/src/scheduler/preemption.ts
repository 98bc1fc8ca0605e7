import { laneOf, type Ranked, type SharingLimits } from './standing.ts';

/** A sequence that holds a place. */
export interface Holder extends Ranked {
  /** Tokens whose keys and values may have to be computed again. */
  readonly computed: number;
  /** Tokens of its answer. */
  readonly generated: number;
}

/** What holds when a place is asked for. */
export interface YieldTurn extends SharingLimits {
  /** Places that the batch lane keeps. */
  readonly batchPlacesMin: number;
  /** On the clock of `arrivedAt`. */
  readonly nowMs: number;
}

/** A level may hold nearly as much work as the next one: two levels apart, one is shorter for certain. */
const levelsApart = 2;

/**
 * Who gives its place to a sequence that waits: one of the batch lane to real time, else one of much more work; only
 * one that has only begun, since its work may have to be done again (TRAIL, Shahout et al. 2024), and of those the one with
 * the least to lose. Within a lane one that is as old as `agingMs` keeps its place: nobody there overtakes it. Undefined: nobody does.
 */
export function chooseYielder<S extends Holder>(running: readonly S[], waiting: Ranked, { batchYields, batchPlacesMin, preemptibleShare, agingMs, nowMs }: YieldTurn): S | undefined {
  if (batchYields !== 'preemption') return undefined;
  const batchCount = running.reduce((count, holder) => count + Number(laneOf(holder) === 'batch'), 0);
  const mayYield = (holder: S) => {
    const isBatch = laneOf(holder) === 'batch';
    if (laneOf(waiting) !== laneOf(holder) && !(isBatch && batchCount > batchPlacesMin)) return false;
    const mayBePassed = laneOf(waiting) !== laneOf(holder) || (isMuchLonger(holder, waiting) && nowMs - holder.arrivedAt < agingMs);
    return mayBePassed && hasOnlyBegun(holder, preemptibleShare);
  };
  return running.filter(mayYield).reduce<S | undefined>((best, next) => (best === undefined || losesLess(next, best) ? next : best), undefined);
}

function isMuchLonger(holder: Ranked, waiting: Ranked): boolean {
  return (holder.request.standing?.level ?? 0) >= (waiting.request.standing?.level ?? 0) + levelsApart;
}

function hasOnlyBegun({ generated, request: { standing } }: Holder, share: number): boolean {
  return standing !== undefined && generated <= standing.expectedTokens * share;
}

/** Batch before real time, then the least computed, then the youngest. */
function losesLess(a: Holder, b: Holder): boolean {
  if (laneOf(a) !== laneOf(b)) return laneOf(a) === 'batch';
  return a.computed < b.computed || (a.computed === b.computed && a.order > b.order);
}
