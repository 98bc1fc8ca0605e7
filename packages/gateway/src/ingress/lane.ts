import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type Lane } from '@open-autoglm/protocol';
import Type from 'typebox';

const header = 'x-autoglm-lane';
const lanes: readonly string[] = ['realtime', 'batch'] satisfies Lane[];

/** Its place among the extensions. */
export const laneFields = {
  lane: Type.Optional(Type.Union([Type.Literal('realtime'), Type.Literal('batch'), Type.Null()], { title: '"realtime" or "batch"' })),
};

/** The lane that the client chose, the body's word first. Throws `invalid_value`. */
export function laneOf(headers: IncomingHttpHeaders, named: Lane | null | undefined): Lane {
  const lane = headers[header] ?? 'realtime';
  if (lanes.includes(lane as string)) return named ?? (lane as Lane);
  throw new AutoglmError('invalid_value', `Invalid value for '${header}': must be "realtime" or "batch".`, { param: header });
}
