import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type Lane } from '@open-autoglm/protocol';
import Type, { type TSchema } from 'typebox';
import { cacheWish } from './cache-options.ts';
import { laneExtensions, laneFields, laneOf } from './lane.ts';
import { tenantOf } from './tenant.ts';
import { deadlineFromHeaders } from './to-request.ts';

/** As OpenAI bounds it. */
export const textsMax = 2048;
const idMax = 2 ** 31 - 1;

export const optional = <T extends TSchema>(schema: T, title: string) => Type.Optional(Type.Union([schema, Type.Null()], { title }));

/** `autoglm`, as `textFields` has it. */
interface TextExtensions {
  readonly deadline_ms?: number | null;
  readonly tenant?: string | null;
  readonly truncate?: boolean | null;
  readonly lane?: Lane | null;
}

/** What every request about texts may say. */
export const textFields = {
  model: Type.String({ minLength: 1, maxLength: 512 }),
  input: Type.Unknown(),
  user: optional(Type.String({ maxLength: 1024 }), 'a string'),
  autoglm: optional(
    Type.Object(
      {
        deadline_ms: optional(Type.Integer({ minimum: 1, maximum: 86_400_000 }), 'an integer from 1 to 86400000'),
        tenant: optional(Type.String({ minLength: 1, maxLength: 256 }), 'a string of 1 to 256 characters'),
        truncate: optional(Type.Boolean(), 'true or false'),
        ...laneFields,
      },
      { additionalProperties: false },
    ),
    'an object with deadline_ms, lane, tenant or truncate',
  ),
};

/** Throws `invalid_json`, or `unknown_parameter` of an extension: the union with null would hide which key it was. */
export function checkTextBody(body: unknown): void {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  checkTextExtensions((body as { autoglm?: unknown }).autoglm);
}

/** What is said beside the texts, in the body or in headers. Throws `invalid_value`. */
export function readTextOptions(autoglm: TextExtensions | null | undefined, headers: IncomingHttpHeaders) {
  return {
    truncate: autoglm?.truncate ?? false,
    tenant: tenantOf(headers, autoglm?.tenant ?? undefined),
    lane: laneOf(headers, autoglm?.lane),
    cache: cacheWish(undefined, headers)?.mode,
    deadlineMs: autoglm?.deadline_ms ?? deadlineFromHeaders(headers, laneExtensions),
  };
}

function checkTextExtensions(autoglm: unknown): void {
  if (typeof autoglm !== 'object' || autoglm === null) return;
  const unknown = Object.keys(autoglm).find((key) => !['deadline_ms', 'lane', 'tenant', 'truncate'].includes(key));
  if (unknown !== undefined) throw new AutoglmError('unknown_parameter', `Unknown parameter: 'autoglm.${unknown}'.`, { param: `autoglm.${unknown}` });
}

/** A text, token ids, or an array of either. */
export function readTexts(input: unknown, countMax: number): (string | readonly number[])[] {
  if (!Array.isArray(input)) return [readText(input, 'input', 'a string, an array of token ids, or an array of these')];
  if (input.length === 0) throw invalid('input', 'it is empty');
  if (typeof input[0] === 'number') return [readText(input, 'input', 'a string, an array of token ids, or an array of these')];
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
