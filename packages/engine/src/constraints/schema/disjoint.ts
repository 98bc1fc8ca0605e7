import { isObject } from '@open-autoglm/protocol';
import type { Schema } from './context.ts';

/** Whether no value satisfies both schemas, as far as can be told from types, `enum` and `const`, at most `depth` objects deep: where in doubt, false. */
export function areDisjoint(a: unknown, b: unknown, resolve: (schema: unknown) => unknown, depth = 4): boolean {
  const [left, right] = [resolve(a), resolve(b)];
  if (!isObject(left) || !isObject(right)) return false;
  const [values, others] = [valuesOf(left), valuesOf(right)];
  if (values && others) return values.every((value) => !others.includes(value));
  const [types, otherTypes] = [typesOf(left), typesOf(right)];
  if (types && otherTypes && types.every((type) => !otherTypes.includes(type))) return true;
  if (depth === 0 || types?.join() !== 'object' || otherTypes?.join() !== 'object') return false;
  const tags = requiredOf(left).filter((name) => requiredOf(right).includes(name));
  return tags.some((name) => areDisjoint(propertyOf(left, name), propertyOf(right, name), resolve, depth - 1));
}

function valuesOf(schema: Schema): readonly string[] | undefined {
  if ('const' in schema) return [JSON.stringify(schema['const'])];
  return Array.isArray(schema['enum']) ? schema['enum'].map((value) => JSON.stringify(value)) : undefined;
}

function typesOf(schema: Schema): readonly string[] | undefined {
  const values = valuesOf(schema);
  if (values) return values.map((value) => typeOfValue(JSON.parse(value)));
  const { type } = schema;
  if (type === undefined) return undefined;
  return (Array.isArray(type) ? type : [type]).map((name) => (name === 'integer' ? 'number' : String(name)));
}

export function typeOfValue(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function requiredOf({ required }: Schema): readonly unknown[] {
  return Array.isArray(required) ? required : [];
}

function propertyOf({ properties }: Schema, name: unknown): unknown {
  return isObject(properties) ? properties[String(name)] : undefined;
}
