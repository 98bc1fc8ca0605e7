import type { Segment } from '@open-autoglm/protocol';

/** Milliseconds of each segment that is known. */
export type SegmentTimes = Partial<Record<Segment, number>>;

/** In the order in which a request passes them. */
export const segmentOrder: readonly Segment[] = ['prejudge', 'input', 'cache', 'queue', 'prefill', 'decode', 'upstream', 'output', 'other', 'total'];

/** Makes the rest known: what `times` leaves unexplained of the total. */
export function withRest(times: SegmentTimes, totalMs: number): SegmentTimes {
  let claimed = 0;
  for (const segment of segmentOrder) claimed += times[segment] ?? 0;
  return { ...times, other: Math.max(0, totalMs - claimed), total: totalMs };
}

/** The `Server-Timing` header (W3C). */
export function formatServerTiming(times: SegmentTimes): string {
  const known = segmentOrder.filter((segment) => times[segment] !== undefined);
  return known.map((segment) => `${segment};dur=${times[segment]?.toFixed(2)}`).join(', ');
}
