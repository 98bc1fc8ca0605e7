import { isObject } from '@open-autoglm/protocol';
import type { Schema } from './context.ts';

/** What is known of a schema's values without compiling it. */
export interface Facts {
  readonly schema: Schema;
  /** All that it allows, as JSON; undefined: more than can be listed. */
  readonly values: ReadonlySet<string> | undefined;
  /** Undefined: any. */
  readonly types: ReadonlySet<string> | undefined;
  readonly required: ReadonlySet<unknown>;
}

/** How many objects deep tags are looked for. */
const depthMax = 4;

/**
 * Tells schemas apart, as far as that can be told from types, `enum` and `const`. Each pair of a list is asked about, and their
 * properties may be shared: what is known of a schema is found once and kept in `facts`, by schema and by the reference to it, for
 * other lists too. Every comparison is told to `spend`, which throws when there are too many.
 */
export class Disjointness {
  readonly #resolve: (schema: unknown) => unknown;
  readonly #spend: (comparisons: number) => void;
  readonly #facts: Map<unknown, Facts>;

  constructor(resolve: (schema: unknown) => unknown, spend: (comparisons: number) => void, facts: Map<unknown, Facts>) {
    this.#resolve = resolve;
    this.#spend = spend;
    this.#facts = facts;
  }

  /** Whether no value satisfies both: where in doubt, false. */
  areDisjoint(a: unknown, b: unknown, depth = depthMax): boolean {
    const [left, right] = [this.#factsOf(a), this.#factsOf(b)];
    if (!left || !right) return false;
    this.#spend(1 + (left.values?.size ?? left.required.size));
    if (left.values && right.values) return !meet(left.values, right.values);
    if (left.types && right.types && !meet(left.types, right.types)) return true;
    if (depth === 0 || !isOnlyObject(left) || !isOnlyObject(right)) return false;
    const tags = [...left.required].filter((name) => right.required.has(name));
    return tags.some((name) => this.areDisjoint(propertyOf(left, name), propertyOf(right, name), depth - 1));
  }

  #factsOf(named: unknown): Facts | undefined {
    const known = this.#facts.get(named);
    if (known) return known;
    const schema = this.#resolve(named);
    if (!isObject(schema)) return undefined;
    const facts = this.#facts.get(schema) ?? readFacts(schema);
    this.#facts.set(schema, facts).set(named, facts);
    return facts;
  }
}

function readFacts(schema: Schema): Facts {
  const values = valuesOf(schema);
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  return {
    schema,
    values: values && new Set(values.map((value) => JSON.stringify(value))),
    types: values ? new Set(values.map(typeOfValue)) : typesOf(schema),
    required: new Set(required),
  };
}

function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if ('const' in schema) return [schema['const']];
  return Array.isArray(schema['enum']) ? schema['enum'] : undefined;
}

function typesOf({ type }: Schema): ReadonlySet<string> | undefined {
  if (type === undefined) return undefined;
  return new Set([type].flat().map((name) => (name === 'integer' ? 'number' : String(name))));
}

export function typeOfValue(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function meet(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return true;
  return false;
}

function isOnlyObject({ types }: Facts): boolean {
  return types?.size === 1 && types.has('object');
}

function propertyOf({ schema: { properties } }: Facts, name: unknown): unknown {
  return isObject(properties) ? properties[String(name)] : undefined;
}
