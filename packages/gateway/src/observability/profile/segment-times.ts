import type { Segment } from '@open-autoglm/protocol';

/** Milliseconds of each segment that is known. */
export type SegmentTimes = Partial<Record<Segment, number | undefined>>;

/** In the order in which a request passes them. */
export const segmentOrder: readonly Segment[] = ['prejudge', 'input', 'cache', 'queue', 'prefill', 'decode', 'upstream', 'output', 'other', 'total'];

/** A copy in which every segment has its place, known or not: of objects that all have one form, fields are several times as fast to find by name. */
export function copyTimes({ prejudge, input, cache, queue, prefill, decode, upstream, output, other, total }: SegmentTimes = {}): SegmentTimes {
  return { prejudge, input, cache, queue, prefill, decode, upstream, output, other, total };
}

/** Makes the rest known: what `times` leaves unexplained of the total. */
export function addRest(times: SegmentTimes, totalMs: number): SegmentTimes {
  let claimed = 0;
  for (const segment of segmentOrder) claimed += times[segment] ?? 0;
  times.other = (times.other ?? 0) + Math.max(0, totalMs - claimed);
  times.total = totalMs;
  return times;
}

/** The `Server-Timing` header (W3C). It is made for every request, so it is put together by hand. */
export function formatServerTiming(times: SegmentTimes): string {
  let text = '';
  for (const segment of segmentOrder) {
    const ms = times[segment];
    if (ms !== undefined) text += `${text === '' ? '' : ', '}${segment};dur=${toHundredths(ms)}`;
  }
  return text;
}

/** Milliseconds as JSON wants them, to the microsecond. */
export function toFields(times: SegmentTimes): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const segment of segmentOrder) {
    const ms = times[segment];
    if (ms !== undefined) fields[fieldNames[segment]] = Math.round(ms * 1000) / 1000;
  }
  return fields;
}

const fieldNames = Object.fromEntries(segmentOrder.map((segment) => [segment, `${segment}_ms`])) as Record<Segment, string>;
const hundredths = Array.from({ length: 100 }, (_, value) => `.${String(value).padStart(2, '0')}`);

/** As `toFixed(2)`, which takes five times as long. */
function toHundredths(value: number): string {
  const scaled = Math.round(value * 100);
  return Math.floor(scaled / 100) + (hundredths[scaled % 100] as string);
}
