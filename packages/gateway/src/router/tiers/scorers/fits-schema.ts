import { isObject } from '@open-autoglm/protocol';

/** Deeper than this, and beyond so many values, nothing is looked at: what stands above was right. */
const depthMax = 16;
const valuesMax = 10_000;

interface Schema {
  readonly type?: unknown;
  readonly enum?: unknown;
  readonly required?: unknown;
  readonly properties?: unknown;
  readonly items?: unknown;
  readonly additionalProperties?: unknown;
}

/**
 * Whether a value has the form that a JSON Schema asks for, by what forms are made of: types, required and known members, enumerations.
 * What else a schema may say (patterns, references, combinations) is not looked at: this finds answers that are wrong, and proves none
 * right.
 */
export function fitsSchema(value: unknown, schema: unknown): boolean {
  return fits(value, schema, { depth: 0, left: { values: valuesMax } });
}

function fits(value: unknown, schema: unknown, { depth, left }: { readonly depth: number; readonly left: { values: number } }): boolean {
  left.values -= 1;
  if (!isObject(schema) || depth > depthMax || left.values < 0) return true;
  const { type, enum: allowed, required, properties, items, additionalProperties } = schema as Schema;
  const types = Array.isArray(type) ? type : type === undefined ? undefined : [type];
  if (types && !types.some((name) => isOfType(value, name))) return false;
  if (Array.isArray(allowed) && !allowed.some((one) => JSON.stringify(one) === JSON.stringify(value))) return false;
  const within = { depth: depth + 1, left };
  if (Array.isArray(value)) return value.every((element) => fits(element, items, within));
  if (!isObject(value)) return true;
  if (Array.isArray(required) && !required.every((name) => typeof name !== 'string' || Object.hasOwn(value, name))) return false;
  const known = isObject(properties) ? properties : {};
  return Object.entries(value).every(([name, member]) => {
    if (Object.hasOwn(known, name)) return fits(member, known[name], within);
    return additionalProperties !== false && fits(member, additionalProperties, within);
  });
}

function isOfType(value: unknown, name: unknown): boolean {
  switch (name) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'string':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return Number.isInteger(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'null':
      return value === null;
    default:
      return true;
  }
}
