import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import Type, { type Static } from 'typebox';
import { cacheWish } from './cache-options.ts';
import { checkBodyExtensions, checkHeaderExtensions, deadlineOf, sharedFields } from './extensions.ts';
import { laneOf } from './lane.ts';
import { tenantOf } from './tenant.ts';
import { optional } from './validate.ts';

/** As OpenAI bounds it. */
export const textsMax = 2048;
const idMax = 2 ** 31 - 1;

const extensionFields = { ...sharedFields, truncate: optional(Type.Boolean(), 'true or false') };
const extensions = Type.Object(extensionFields);

/** What every request about texts may say. */
export const textFields = {
  model: Type.String({ minLength: 1, maxLength: 512 }),
  input: Type.Unknown(),
  user: optional(Type.String({ maxLength: 1024 }), 'a string'),
  autoglm: optional(extensions, 'an object'),
};

/** Throws `invalid_json`, or `unknown_parameter` of an extension. */
export function checkTextBody(body: unknown): void {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  checkBodyExtensions((body as { autoglm?: unknown }).autoglm, extensionFields);
}

/** What is said beside the texts, in the body or in headers. Throws `invalid_value`, or `unknown_parameter` of a header. */
export function readTextOptions(autoglm: Static<typeof extensions> | null | undefined, headers: IncomingHttpHeaders) {
  checkHeaderExtensions(headers);
  return {
    truncate: autoglm?.truncate ?? false,
    tenant: tenantOf(headers, autoglm?.tenant ?? undefined),
    lane: laneOf(headers, autoglm?.lane),
    cache: cacheWish(undefined, headers),
    deadlineMs: deadlineOf(headers, autoglm?.deadline_ms),
  };
}

/** A text, token ids, or an array of either. */
export function readTexts(input: unknown, countMax: number): (string | readonly number[])[] {
  if (!Array.isArray(input) || typeof input[0] === 'number')
    return [readText(input, 'input', 'a string, an array of token ids, or an array of these')];
  if (input.length === 0) throw invalid('input', 'it is empty');
  if (input.length > countMax) throw invalid('input', `it has ${input.length} texts, and ${countMax} is the most`);
  return input.map((item, index) => readText(item, `input[${index}]`, 'a string or an array of token ids'));
}

function readText(input: unknown, param: string, expected: string): string | readonly number[] {
  if (typeof input !== 'string' && !Array.isArray(input)) throw invalid(param, `must be ${expected}`);
  if (input.length === 0) throw invalid(param, 'it is empty');
  if (typeof input === 'string') return input;
  const wrong = input.findIndex((id) => !Number.isInteger(id) || id < 0 || id > idMax);
  if (wrong >= 0) throw invalid(`${param}[${wrong}]`, 'must be a token id');
  return input as number[];
}

function invalid(param: string, reason: string): AutoglmError {
  return new AutoglmError('invalid_value', `Invalid value for '${param}': ${reason}.`, { param });
}
