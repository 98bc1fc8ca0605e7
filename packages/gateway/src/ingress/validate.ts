import { AutoglmError } from '@open-autoglm/protocol';
import Type, { type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { findPath, nameOfPath } from '../common/json-path.ts';

/** A field that may be absent or null. `title` completes "must be …" in the error. */
export const optional = <T extends TSchema>(schema: T, title: string) => Type.Optional(Type.Union([schema, Type.Null()], { title }));

export type Validate<T> = (value: unknown, prefix?: string) => T;

/**
 * A check that throws `missing_parameter`, `unknown_parameter` or `invalid_value`, naming the field as a client writes it:
 * `messages[0].content`. The check is compiled when it is first asked for: most servers never need most of them, and all of
 * them together would keep every server from listening for a moment.
 */
export function createValidator<S extends TSchema>(schema: S): Validate<Static<S>> {
  let compiled: Validator<S> | undefined;
  return (value, prefix = '') => {
    compiled ??= compile(schema);
    if (!compiled.Check(value)) throw explain(schema, [...compiled.Errors(value)], prefix);
    return value as Static<S>;
  };
}

const compile = <S extends TSchema>(schema: S) => Compile(schema);
type Validator<S extends TSchema> = ReturnType<typeof compile<S>>;
type ValidationError = ReturnType<ReturnType<typeof Compile>['Errors']>[number];

function explain(schema: TSchema, errors: readonly ValidationError[], prefix: string): AutoglmError {
  const missing = errors.find((error) => error.keyword === 'required' && !error.schemaPath.includes('anyOf'));
  const unknown = errors.find((error) => error.keyword === 'additionalProperties' && !error.schemaPath.includes('anyOf'));
  if (missing) {
    const param = fieldName(prefix, missing.instancePath, (missing.params as { requiredProperties: string[] }).requiredProperties[0]);
    return new AutoglmError('missing_parameter', `Missing required parameter: '${param}'.`, { param });
  }
  if (unknown) {
    const param = fieldName(prefix, unknown.instancePath, (unknown.params as { additionalProperties: string[] }).additionalProperties[0]);
    return new AutoglmError('unknown_parameter', `Unknown parameter: '${param}'.`, { param });
  }
  // The outermost union says best what was expected; its branches only say what they were not.
  const error = (errors.find((candidate) => candidate.keyword === 'anyOf') ?? errors[0]) as ValidationError;
  const param = fieldName(prefix, error.instancePath);
  const expected = titleAt(schema, error.schemaPath);
  const reason = expected ? `must be ${expected}` : error.message;
  return new AutoglmError('invalid_value', param ? `Invalid value for '${param}': ${reason}.` : `The body ${reason}.`, { param: param || undefined });
}

function fieldName(prefix: string, instancePath: string, last?: string): string {
  const keys = [...instancePath.split('/').slice(1).map(unescape), ...(last === undefined ? [] : [last])];
  return keys.reduce((name, key) => (/^\d+$/.test(key) && name !== '' ? `${name}[${key}]` : name === '' ? key : `${name}.${key}`), prefix);
}

function unescape(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The title of the innermost titled schema on the way to the one at fault; none of one that is the title of what holds it. */
function titleAt(schema: TSchema, schemaPath: string): string | undefined {
  let current: unknown = schema;
  let title: string | undefined;
  for (const key of schemaPath.split('/').slice(1)) {
    current = (current as Record<string, unknown> | undefined)?.[unescape(key)];
    if (key === 'items' || key === 'properties') title = undefined;
    const own = (current as { title?: unknown } | undefined)?.title;
    if (typeof own === 'string') title = own;
  }
  return title;
}

/** Throws `invalid_value` when a string anywhere holds half of a surrogate pair, which no tokenizer can read. */
export function checkWellFormed(value: unknown): void {
  const wrong = findPath(value, (text) => typeof text === 'string' && !text.isWellFormed());
  if (!wrong) return;
  const name = nameOfPath(wrong);
  throw new AutoglmError('invalid_value', `Invalid value for '${name}': it contains half of a surrogate pair.`, { param: name });
}
