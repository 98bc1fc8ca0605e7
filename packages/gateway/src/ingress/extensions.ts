import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import Type, { type TSchema } from 'typebox';
import { laneFields } from './lane.ts';
import { optional } from './validate.ts';

type Fields = Readonly<Record<string, TSchema>>;

const headerPrefix = 'x-autoglm-';
const deadlineHeader = `${headerPrefix}deadline-ms`;
const deadlineMsMax = 86_400_000;
const deadlineTitle = `an integer from 1 to ${deadlineMsMax}`;

/** What the body's `autoglm` and `x-autoglm-*` headers have alike. */
export const sharedFields = {
  deadline_ms: optional(Type.Integer({ minimum: 1, maximum: deadlineMsMax }), deadlineTitle),
  tenant: optional(Type.String({ minLength: 1, maxLength: 256 }), 'a string of 1 to 256 characters'),
  ...laneFields,
} satisfies Fields;

/** Throws `unknown_parameter` where `autoglm` has a key that is no field: the union with null would hide which. */
export function checkBodyExtensions(autoglm: unknown, fields: Fields): void {
  if (typeof autoglm === 'object' && autoglm !== null) for (const name of Object.keys(autoglm)) checkKnown(name, fields, `autoglm.${name}`);
}

/** Throws `unknown_parameter`. */
export function checkHeaderExtensions(headers: IncomingHttpHeaders): void {
  for (const name in headers)
    if (name.startsWith(headerPrefix)) checkKnown(name.slice(headerPrefix.length).replaceAll('-', '_'), sharedFields, name);
}

function checkKnown(name: string, fields: Fields, param: string): void {
  if (!Object.hasOwn(fields, name)) throw new AutoglmError('unknown_parameter', `Unknown parameter: '${param}'.`, { param });
}

/** The client's bound on its request, the body's word first. Throws `invalid_value`. */
export function deadlineOf(headers: IncomingHttpHeaders, named: number | null | undefined): number | undefined {
  const value = headers[deadlineHeader];
  if (value === undefined) return named ?? undefined;
  const deadline = Number(value);
  if (!Number.isInteger(deadline) || deadline < 1 || deadline > deadlineMsMax)
    throw new AutoglmError('invalid_value', `Invalid value for '${deadlineHeader}': must be ${deadlineTitle}.`, { param: deadlineHeader });
  return named ?? deadline;
}
