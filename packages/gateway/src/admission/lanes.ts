import type { Lane } from '@open-autoglm/protocol';

/** Sequences of each lane that are under way. */
export type Running = Readonly<Record<Lane, number>>;

export interface LaneBounds {
  /** Sequences at once that the engines do well with. */
  readonly limit: number;
  /** More than this they do not take, whoever asks. */
  readonly max: number;
  /** The share of the limit that the batch lane has, however much comes in real time. */
  readonly batchShareMin: number;
}

/**
 * Whether a lane may send one more. Real time has the whole limit to itself: what the batch lane has under way does not
 * count, since an engine of ours lets it give way, and another server gets no more of it until there is room again. The
 * batch lane takes what real time leaves, and never less than its share.
 */
export function maySend(lane: Lane, { realtime, batch }: Running, { limit, max, batchShareMin }: LaneBounds): boolean {
  const total = realtime + batch;
  if (total >= max) return total === 0;
  if (lane === 'realtime') return realtime < limit;
  return total < limit || batch < batchPlaces(limit, batchShareMin);
}

/** At least one, unless the share is nothing. */
export function batchPlaces(limit: number, share: number): number {
  return Math.ceil(limit * share);
}
