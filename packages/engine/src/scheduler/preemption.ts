import { isAged, laneOf, placeNow, type Ranked, type SharingLimits, type Turn } from './standing.ts';

/** A sequence that holds a place. */
export interface Holder extends Ranked {
  /** Tokens whose keys and values may have to be computed again. */
  readonly computed: number;
}

/** What holds when a place is asked for. */
export interface YieldTurn extends SharingLimits, Turn {
  /** Places that the batch lane keeps. */
  readonly batchPlacesMin: number;
}

/** A level may hold nearly as much work as the next one: two levels apart, one is shorter for certain. */
const levelsApart = 2;

/**
 * Who gives its place to a sequence that waits: one of the batch lane to real time, else one of much more work; only
 * one that has only begun, since its work may have to be done again (TRAIL, Shahout et al. 2024), and of those the one with
 * the least to lose. Within a lane one that is as old as `agingMs` keeps its place: nobody there overtakes it. Undefined: nobody does.
 */
export function chooseYielder<S extends Holder>(running: readonly S[], waiting: Ranked, turn: YieldTurn): S | undefined {
  const { batchYields, batchPlacesMin } = turn;
  if (batchYields !== 'preemption') return undefined;
  const batchCount = running.reduce((count, holder) => count + Number(laneOf(holder) === 'batch'), 0);
  const mayYield = (holder: S) => {
    const isBatch = laneOf(holder) === 'batch';
    if (laneOf(waiting) !== laneOf(holder) && !(isBatch && batchCount > batchPlacesMin)) return false;
    const mayBePassed = laneOf(waiting) !== laneOf(holder) || (isMuchLonger(holder, waiting, turn.nowMs) && !isAged(holder, turn));
    return mayBePassed && hasOnlyBegun(holder, turn.preemptibleShare);
  };
  return running
    .filter(mayYield)
    .reduce<S | undefined>((best, next) => (best === undefined || losesLess(next, best) ? next : best), undefined);
}

function isMuchLonger(holder: Ranked, waiting: Ranked, nowMs: number): boolean {
  return placeNow(holder, nowMs).level >= placeNow(waiting, nowMs).level + levelsApart;
}

/** One that has outlived its prediction is likely to go on for what a level adds. */
function hasOnlyBegun({ generated, request: { standing } }: Holder, share: number): boolean {
  if (!standing) return false;
  const { expectedTokens, slices } = standing;
  const expected = slices && generated > expectedTokens ? generated * slices.priorityWeight : expectedTokens;
  return generated <= expected * share;
}

/** Batch before real time, then the least computed, then the youngest. */
function losesLess(a: Holder, b: Holder): boolean {
  if (laneOf(a) !== laneOf(b)) return laneOf(a) === 'batch';
  return a.computed < b.computed || (a.computed === b.computed && a.order > b.order);
}
