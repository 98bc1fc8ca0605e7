import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type Lane } from '@open-autoglm/protocol';
import Type from 'typebox';

const header = 'x-autoglm-lane';
const lanes: readonly string[] = ['realtime', 'batch'] satisfies Lane[];

/** The lane's name among the extensions, in the body and in headers alike. */
export const laneExtensions: ReadonlySet<string> = new Set(['lane']);

/** Its place in the body's schema. */
export const laneFields = {
  lane: Type.Optional(Type.Union([Type.Literal('realtime'), Type.Literal('batch'), Type.Null()], { title: '"realtime" or "batch"' })),
};

/** The lane that the client chose, the body's word first. Throws `invalid_value`. */
export function laneOf(headers: IncomingHttpHeaders, named: Lane | null | undefined): Lane {
  const lane = named ?? headers[header] ?? 'realtime';
  if (lanes.includes(lane as string)) return lane as Lane;
  throw new AutoglmError('invalid_value', `Invalid value for '${header}': must be "realtime" or "batch".`, { param: header });
}
