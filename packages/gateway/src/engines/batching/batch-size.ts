import type { BatchCost } from './batch-costs.ts';

export interface BatchBounds {
  /** Items of a batch. */
  readonly sizeMax: number;
  /** How long an item may wait for others. */
  readonly timeoutMs: number;
}

/** What there is at this moment. */
export interface BatchLoad {
  /** Items that wait, and how long the first of them has. */
  readonly waiting: number;
  readonly waitedMs: number;
  /** Batches under way. */
  readonly running: number;
  /** Items that come, each millisecond. */
  readonly arrivals: number;
  /** Undefined while it is not known. */
  readonly cost: BatchCost | undefined;
}

/** A server that is kept just busy enough has no room for a wave. */
const headroom = 1.2;

/**
 * The smallest batches with which a server that does one after another keeps up: while one of `n` runs, which takes
 * `fixed + n · item`, no more than `n` may come. Where items alone are too much for it, the largest there may be.
 */
export function sizeFor(arrivals: number, { fixedMs, itemMs }: BatchCost, sizeMax: number): number {
  const wanted = arrivals * headroom;
  const left = 1 - wanted * itemMs;
  if (left <= 0) return sizeMax;
  return Math.min(sizeMax, Math.max(1, Math.ceil((wanted * fixedMs) / left)));
}

/**
 * How many of those that wait are sent now, and else how long until this is asked again. A server that does nothing is asked at once,
 * whatever waits: batching adds nothing when there is no load. While it works, others gather until there are enough for the load, until
 * the first has waited long enough, or until the server is free.
 */
export function decideBatch(
  { waiting, waitedMs, running, arrivals, cost }: BatchLoad,
  { sizeMax, timeoutMs }: BatchBounds,
): { readonly send: number; readonly againMs: number | undefined } {
  if (waiting === 0) return { send: 0, againMs: undefined };
  const enough = cost ? sizeFor(arrivals, cost, sizeMax) : sizeMax;
  // Of one alone nothing would be a batch: whoever works gets what gathers meanwhile.
  const isDue = running === 0 || waiting >= Math.max(2, enough) || waiting >= sizeMax || waitedMs >= timeoutMs;
  return isDue ? { send: Math.min(waiting, sizeMax), againMs: undefined } : { send: 0, againMs: timeoutMs - waitedMs };
}
