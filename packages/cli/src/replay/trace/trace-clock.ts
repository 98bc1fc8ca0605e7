/** A step back that is larger is a clock that was set; a smaller one is lines out of order. */
const disorderMaxMs = 1000;

/** Makes a trace's times never go back. */
export interface TraceClock {
  /** The time of the next request, from 0 for the first one. `wentBack`: it lies before one above it. */
  advance(atMs: number): { readonly atMs: number; readonly wentBack: boolean };
}

/**
 * Reading goes on line by line, so a request cannot be moved up: one that is a little late in the file is sent with the one above it,
 * and the clock stays. After a large step back the times that follow count from there; sending all of them at once would be a burst
 * that never was.
 */
export function createTraceClock(): TraceClock {
  let originMs: number | undefined;
  let latestMs = 0;
  return {
    advance(atMs) {
      originMs ??= atMs;
      const sinceStartMs = atMs - originMs;
      if (sinceStartMs >= latestMs) {
        latestMs = sinceStartMs;
        return { atMs: latestMs, wentBack: false };
      }
      if (latestMs - sinceStartMs > disorderMaxMs) originMs = atMs - latestMs;
      return { atMs: latestMs, wentBack: true };
    },
  };
}
