/**
 * The token bucket, told the other way round: what was taken fills it, and it drains at a steady rate. Two numbers a bucket, whatever the
 * rate; over any time t it gives at most `capacity + t / drainMs · capacity`.
 */
export interface Rate {
  /** The most that can be taken at once. */
  readonly capacity: number;
  /** How long a full bucket takes to drain, in milliseconds. */
  readonly drainMs: number;
}

export interface Level {
  /** What was taken and has not drained yet. Above the capacity where more was used than had been asked for. */
  readonly used: number;
  readonly atMs: number;
}

export const emptyLevel: Level = { used: 0, atMs: 0 };

/** Sums of floating point are not exact: a caller who waited for as long as it was told must not be sent away again. */
const tolerance = 1e-9;

/** What is in the bucket now. A clock that went backwards drains nothing. */
export function drained({ used, atMs }: Level, { capacity, drainMs }: Rate, nowMs: number): number {
  return Math.max(0, used - (Math.max(0, nowMs - atMs) / drainMs) * capacity);
}

/** What a request is charged at first: one that needs more than there ever is waits for all of it, and pays the rest when it is known. */
export function chargeOf(cost: number, { capacity }: Rate, share: number): number {
  return Math.min(cost, capacity * share);
}

/** How long until so much can be taken from this share of the bucket, in milliseconds; 0: now. */
export function waitFor(used: number, cost: number, { capacity, drainMs }: Rate, share: number): number {
  const over = used + Math.min(cost, capacity * share) - capacity * share;
  return over <= capacity * tolerance ? 0 : (over / capacity) * drainMs;
}
