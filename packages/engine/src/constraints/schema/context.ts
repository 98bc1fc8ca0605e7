import { AutoglmError } from '@open-autoglm/protocol';
import type { Node } from '../grammar.ts';

export type Schema = Readonly<Record<string, unknown>>;

/** Bounds of one schema. A step of generation must never wait long for a grammar to be made. */
export const schemaLimits = {
  /** Schemas within the schema, each use of a definition counted once. */
  schemas: 10_000,
  depth: 64,
  enumValues: 10_000,
  /** Schemas of one tuple, which are nested in each other. */
  prefixItems: 500,
  /** Of the schemas of all `oneOf`, of their values and of their required properties, to tell them apart. */
  comparisons: 1_000_000,
  patternLength: 1000,
  /** States of the automata of one pattern, and of all patterns. */
  patternStates: 2000,
  allPatternStates: 8000,
  /** Characters of `minLength` and `maxLength`, where a pattern stands beside them. */
  patternedLength: 1000,
} as const;

/** What is bounded for a schema as a whole. */
export type Spent = 'enumValues' | 'allPatternStates' | 'comparisons';

/** What the parts of the compiler share for one schema. */
export interface SchemaContext {
  /** The grammar of a schema that stands inside. */
  compile(schema: unknown, path: string): Node;
  anyValue(): Node;
  /** Counts something against its bound. */
  spend(what: Spent, count: number, path: string): void;
}

/** The client's fault, named by the field: `response_format.json_schema.schema.properties.a`. */
export function schemaError(path: string, message: string): AutoglmError {
  return new AutoglmError('invalid_value', `Invalid value for '${path}': ${message}.`, { param: path });
}

export function at(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  return /^[\w$-]+$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** A keyword that must be a number of things; undefined where it is absent. */
export function countKeyword(schema: Schema, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw schemaError(at(path, keyword), 'must be a whole number that is not negative');
  return value as number;
}

/** Two bounds of a count, in order. */
export function countRange(schema: Schema, [minKey, maxKey]: readonly [string, string], path: string): readonly [number, number] {
  const min = countKeyword(schema, minKey, path) ?? 0;
  const max = countKeyword(schema, maxKey, path) ?? Infinity;
  if (min > max) throw schemaError(at(path, minKey), `must not be greater than '${maxKey}'`);
  return [min, max];
}
