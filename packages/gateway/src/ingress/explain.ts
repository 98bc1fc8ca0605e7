import { AutoglmError } from '@open-autoglm/protocol';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { nameOfPath, type JsonPath } from '../common/json-path.ts';

/** What a schema of ours may say, as typebox writes it. */
interface Described extends TSchema {
  readonly type?: string;
  /** Completes "must be …". */
  readonly title?: string;
  readonly anyOf?: readonly Described[];
  readonly items?: Described;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
}

/** Where something is wrong. */
interface Place {
  readonly schema: Described;
  readonly value: unknown;
  readonly path: JsonPath;
  /** Of what this is a branch of. */
  readonly title: string | undefined;
}

/**
 * Why a value does not fit: `missing_parameter`, `unknown_parameter` or `invalid_value`, with the first field that is wrong. The way
 * there is found by checks, which end at the first fault: a list of all of them, as typebox makes it, costs seconds and gigabytes where
 * a body of 8 MiB has a million.
 */
export function explain(schema: TSchema, value: unknown, prefix: string): AutoglmError {
  return explainAt({ schema, value, path: [], title: undefined }, prefix);
}

function explainAt({ schema, value, path, title: titleAbove }: Place, prefix: string): AutoglmError {
  const title = schema.title ?? titleAbove;
  const within = (part: Described, key: string | number) =>
    explainAt({ schema: part, value: (value as Record<string | number, unknown>)[key], path: [...path, key], title: undefined }, prefix);
  const branches = schema.anyOf?.filter(({ type }) => type !== 'null') ?? [];
  // Of several the union says best what was expected; its branches only say what they were not.
  if (branches.length === 1) return explainAt({ schema: branches[0] as Described, value, path, title }, prefix);
  if (schema.items && Array.isArray(value) && hasLength(schema, value)) {
    const { items } = schema;
    return within(
      items,
      value.findIndex((item) => !fits(items, item)),
    );
  }
  if (schema.properties && isObject(value)) {
    const { properties, required = [], additionalProperties } = schema;
    const missing = required.find((key) => !Object.hasOwn(value, key));
    if (missing !== undefined) return toError('missing_parameter', 'Missing required', nameOf(prefix, [...path, missing]));
    const unknown = additionalProperties === false ? Object.keys(value).find((key) => !Object.hasOwn(properties, key)) : undefined;
    if (unknown !== undefined) return toError('unknown_parameter', 'Unknown', nameOf(prefix, [...path, unknown]));
    const wrong = Object.keys(properties).find(
      (key) => Object.hasOwn(value, key) && !fits(properties[key] as Described, value[key]),
    ) as string;
    return within(properties[wrong] as Described, wrong);
  }
  const param = nameOf(prefix, path);
  const reason = title === undefined ? reasonOf(schema, value) : `must be ${title}`;
  return new AutoglmError('invalid_value', param === '' ? `The body ${reason}.` : `Invalid value for '${param}': ${reason}.`, {
    param: param || undefined,
  });
}

function toError(code: 'missing_parameter' | 'unknown_parameter', what: string, param: string): AutoglmError {
  return new AutoglmError(code, `${what} parameter: '${param}'.`, { param });
}

/** Of what has no title. Whatever else is in a container, it is not looked at. */
function reasonOf(schema: Described, value: unknown): string {
  if (schema.type === 'object' || (schema.type === 'array' && !Array.isArray(value))) return `must be an ${schema.type}`;
  if (schema.type === 'array') return `must have ${schema.minItems ?? 0} to ${schema.maxItems ?? 'any number of'} items`;
  return compiled(schema).Errors(value)[0]?.message ?? 'is not valid';
}

function hasLength({ minItems = 0, maxItems = Infinity }: Described, { length }: readonly unknown[]): boolean {
  return length >= minItems && length <= maxItems;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nameOf(prefix: string, path: JsonPath): string {
  const name = nameOfPath(path);
  return prefix === '' || name === '' || name.startsWith('[') ? prefix + name : `${prefix}.${name}`;
}

const fits = (schema: TSchema, value: unknown) => compiled(schema).Check(value);

/** As many as there are schemas that somebody did not keep to. */
const known = new WeakMap<TSchema, Validator>();

function compiled(schema: TSchema): Validator {
  const validator = known.get(schema) ?? (Compile(schema) as Validator);
  known.set(schema, validator);
  return validator;
}
