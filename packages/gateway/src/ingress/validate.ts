import { AutoglmError } from '@open-autoglm/protocol';
import Type, { type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { findPath, nameOfPath } from '../common/json-path.ts';
import { explain } from './explain.ts';

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
    if (!compiled.Check(value)) throw explain(schema, value, prefix);
    return value as Static<S>;
  };
}

const compile = <S extends TSchema>(schema: S) => Compile(schema);
type Validator<S extends TSchema> = ReturnType<typeof compile<S>>;

/** Throws `invalid_value` when a string anywhere holds half of a surrogate pair, which no tokenizer can read. */
export function checkWellFormed(value: unknown): void {
  const wrong = findPath(value, (text) => typeof text === 'string' && !text.isWellFormed());
  if (!wrong) return;
  const name = nameOfPath(wrong);
  throw new AutoglmError('invalid_value', `Invalid value for '${name}': it contains half of a surrogate pair.`, { param: name });
}
