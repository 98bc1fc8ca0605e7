import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type CacheMode } from '@open-autoglm/protocol';
import Type, { type TSchema } from 'typebox';
import { cacheWish } from './cache-options.ts';
import { tenantOf } from './tenant.ts';
import { deadlineFromHeaders } from './to-request.ts';
import { createValidator } from './validate.ts';

export interface ParsedEmbeddings {
  readonly model: string;
  readonly inputs: readonly (string | readonly number[])[];
  readonly encodingFormat: 'float' | 'base64';
  readonly dimensions: number | undefined;
  readonly truncate: boolean;
  readonly tenant: string;
  /** Undefined: the request says nothing of it. */
  readonly cache: CacheMode | undefined;
  readonly deadlineMs: number | undefined;
  /** The client's own words, but for `autoglm`. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** As OpenAI bounds it. */
const inputsMax = 2048;
const idMax = 2 ** 31 - 1;

const optional = <T extends TSchema>(schema: T, title: string) => Type.Optional(Type.Union([schema, Type.Null()], { title }));
const fields = {
  model: Type.String({ minLength: 1, maxLength: 512 }),
  input: Type.Unknown(),
  encoding_format: optional(Type.Union([Type.Literal('float'), Type.Literal('base64')]), '"float" or "base64"'),
  dimensions: optional(Type.Integer({ minimum: 1, maximum: 65_536 }), 'an integer from 1 to 65536'),
  user: optional(Type.String({ maxLength: 1024 }), 'a string'),
  autoglm: optional(
    Type.Object(
      {
        deadline_ms: optional(Type.Integer({ minimum: 1, maximum: 86_400_000 }), 'an integer from 1 to 86400000'),
        tenant: optional(Type.String({ minLength: 1, maxLength: 256 }), 'a string of 1 to 256 characters'),
        truncate: optional(Type.Boolean(), 'true or false'),
      },
      { additionalProperties: false },
    ),
    'an object with deadline_ms, tenant or truncate',
  ),
};

const validate = createValidator(Type.Object(fields, { additionalProperties: false }));
/** Another server may know fields of its own. */
const validateRemote = createValidator(Type.Object(fields));

/** Throws `invalid_json`, `missing_parameter`, `unknown_parameter`, `invalid_value`, each naming the field. */
export function parseEmbeddings(body: unknown, headers: IncomingHttpHeaders, isRemote: boolean): ParsedEmbeddings {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  checkExtensions((body as { autoglm?: unknown }).autoglm);
  const { autoglm, ...own } = (isRemote ? validateRemote : validate)(body);
  const deadlineMs = autoglm?.deadline_ms ?? deadlineFromHeaders(headers);
  return {
    model: own.model,
    inputs: readInputs(own.input),
    encodingFormat: own.encoding_format ?? 'float',
    dimensions: own.dimensions ?? undefined,
    truncate: autoglm?.truncate ?? false,
    tenant: tenantOf(headers, autoglm?.tenant ?? undefined),
    cache: cacheWish(undefined, headers)?.mode,
    deadlineMs,
    fields: own,
  };
}

/** The union with null would hide which key it was. */
function checkExtensions(autoglm: unknown): void {
  if (typeof autoglm !== 'object' || autoglm === null) return;
  const unknown = Object.keys(autoglm).find((key) => !['deadline_ms', 'tenant', 'truncate'].includes(key));
  if (unknown !== undefined) throw new AutoglmError('unknown_parameter', `Unknown parameter: 'autoglm.${unknown}'.`, { param: `autoglm.${unknown}` });
}

/** A text, token ids, or an array of either. */
function readInputs(input: unknown): (string | readonly number[])[] {
  if (!Array.isArray(input)) return [readInput(input, 'input', 'a string, an array of token ids, or an array of these')];
  if (input.length === 0) throw invalid('input', 'it is empty');
  if (typeof input[0] === 'number') return [readInput(input, 'input', 'a string, an array of token ids, or an array of these')];
  if (input.length > inputsMax) throw invalid('input', `it has ${input.length} texts, and ${inputsMax} is the most`);
  return input.map((item, index) => readInput(item, `input[${index}]`, 'a string or an array of token ids'));
}

function readInput(input: unknown, param: string, expected: string): string | readonly number[] {
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
