import { isObject } from '@open-autoglm/protocol';
import { sequence, type Node, type Property } from '../grammar.ts';
import { closing, opening } from '../terminals/punctuation.ts';
import { at, countRange, schemaError, type Schema, type SchemaContext } from './context.ts';

export const objectKeywords = ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'] as const;

/**
 * An object. Properties come in the order in which the schema has them. Others come after them, and only where `additionalProperties` asks
 * for them or there are no `properties`: JSON Schema lets them come anyway, but who lists properties means those.
 */
export function compileObject(context: SchemaContext, schema: Schema, path: string): Node {
  const { properties = {}, additionalProperties } = schema;
  if (!isObject(properties)) throw schemaError(at(path, 'properties'), 'must be an object of schemas');
  const required = readRequired(schema, path);
  const additional = compileAdditional(context, schema, path);
  const listed = Object.entries(properties).map(([name, value]): Property => ({
    name,
    value: context.compile(value, at(at(path, 'properties'), name)),
    isRequired: required.has(name),
  }));
  const unlisted = [...required]
    .filter((name) => !Object.hasOwn(properties, name))
    .map((name): Property => {
      if (additionalProperties === false)
        throw schemaError(at(path, 'required'), `names ${JSON.stringify(name)}, which 'additionalProperties' rules out`);
      return { name, value: additional ?? context.anyValue(), isRequired: true };
    });
  const all = [...listed, ...unlisted];
  const [min, max] = countRange(schema, ['minProperties', 'maxProperties'], path);
  if (!additional && min > all.length) throw schemaError(at(path, 'minProperties'), 'is more than there are properties');
  if (required.size > max) throw schemaError(at(path, 'maxProperties'), 'is less than there are required properties');
  return sequence(opening('{'), { kind: 'members', properties: all, additional, min, max }, closing('}'));
}

function compileAdditional(
  context: SchemaContext,
  { properties, additionalProperties = properties === undefined }: Schema,
  path: string,
): Node | undefined {
  if (additionalProperties === false) return undefined;
  return context.compile(additionalProperties, at(path, 'additionalProperties'));
}

function readRequired({ required = [] }: Schema, path: string): ReadonlySet<string> {
  if (!Array.isArray(required) || required.some((name) => typeof name !== 'string'))
    throw schemaError(at(path, 'required'), 'must be an array of names');
  return new Set(required as string[]);
}
