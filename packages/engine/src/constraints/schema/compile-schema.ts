import { isObject } from '@open-autoglm/protocol';
import { choice, type Node, type Reference } from '../grammar.ts';
import { literals } from '../terminals/literals.ts';
import { arrayKeywords, compileArray } from './arrays.ts';
import { findEndless, findLoop } from './check-recursion.ts';
import { at, schemaError, schemaLimits, type Schema, type SchemaContext, type Spent } from './context.ts';
import { Disjointness, typeOfValue, type Facts } from './disjoint.ts';
import { compileNumber, numberKeywords } from './numbers.ts';
import { compileObject, objectKeywords } from './objects.ts';
import { compileString, stringKeywords } from './strings.ts';

/**
 * The grammar of a JSON Schema (draft 2020-12): of values that satisfy it, and not always of all. What the grammar cannot hold an answer
 * to throws `invalid_value` and names the field, whatever the schema calls it: nothing is passed over. `path` is the schema's own field.
 */
export function compileSchema(schema: unknown, path: string): Node {
  return new SchemaCompiler(schema, path).compileRoot();
}

/** Keywords that say something to people, or to other keywords. */
const annotations = new Set([
  'title',
  'description',
  'default',
  'examples',
  'example',
  '$comment',
  '$schema',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$defs',
  'definitions',
  'discriminator',
]);

const types = {
  object: objectKeywords,
  array: arrayKeywords,
  string: stringKeywords,
  number: numberKeywords,
  integer: numberKeywords,
  boolean: [],
  null: [],
} as const satisfies Readonly<Record<string, readonly string[]>>;

type TypeName = keyof typeof types;

const typeNames = Object.keys(types) as TypeName[];
const typedKeywords = new Set<string>(['type', ...Object.values(types).flat()]);

const tooMuch: Readonly<Record<Spent, string>> = {
  enumValues: "the schema's enums are too large in all",
  allPatternStates: "the schema's patterns are too large in all",
  comparisons: "too much must be compared to tell the schema's alternatives apart: use 'anyOf'",
};

class SchemaCompiler implements SchemaContext {
  readonly #root: unknown;
  readonly #path: string;
  readonly #references = new Map<string, { readonly node: Reference; readonly path: string }>();
  /** For all `oneOf` together: many may name one schema, whose values are then read once. */
  readonly #facts = new Map<unknown, Facts>();
  readonly #spent = { enumValues: 0, allPatternStates: 0, comparisons: 0, schemas: 0 };
  #depth = 0;
  #any: Reference | undefined;

  constructor(root: unknown, path: string) {
    // The schema's own name; a reference to '#' means the same without it.
    const { $id: _, ...unnamed } = isObject(root) ? root : {};
    this.#root = isObject(root) ? unnamed : root;
    this.#path = path;
  }

  compileRoot(): Node {
    const node = this.compile(this.#root, this.#path);
    // A map tells those that are added meanwhile, too.
    for (const [pointer, { node: reference, path }] of this.#references)
      reference.target = this.compile(this.#resolve(pointer, path), this.#pathOf(pointer));
    const all = [...this.#references.values()];
    const faulty = findLoop(all.map((reference) => reference.node)) ?? findEndless(all.map((reference) => reference.node));
    if (faulty) throw schemaError(all.find((reference) => reference.node === faulty)?.path as string, 'refers to itself without end');
    return node;
  }

  compile(schema: unknown, path: string): Node {
    if (schema === true) return this.anyValue();
    if (schema === false) throw schemaError(path, 'is false, which no value satisfies');
    if (!isObject(schema)) throw schemaError(path, 'must be a schema: an object, true or false');
    this.#spent.schemas += 1;
    if (this.#spent.schemas > schemaLimits.schemas) throw schemaError(this.#path, `has more than ${schemaLimits.schemas} schemas`);
    this.#depth += 1;
    if (this.#depth > schemaLimits.depth) throw schemaError(path, `is nested more than ${schemaLimits.depth} deep`);
    const node = this.#compileObject(schema, path);
    this.#depth -= 1;
    return node;
  }

  anyValue(): Node {
    if (!this.#any) {
      this.#any = { kind: 'reference', target: undefined };
      this.#any.target = choice(
        compileObject(this, {}, ''),
        compileArray(this, {}, ''),
        compileString(this, {}, ''),
        compileNumber({}, false, ''),
        literals(['true', 'false', 'null']),
      );
    }
    return this.#any;
  }

  spend(what: Spent, count: number, path: string): void {
    this.#spent[what] += count;
    if (this.#spent[what] > schemaLimits[what]) throw schemaError(path, `is one too many: ${tooMuch[what]}`);
  }

  #compileObject(schema: Schema, path: string): Node {
    if ('$ref' in schema) return this.#compileReference(schema, path);
    if ('const' in schema || 'enum' in schema) return this.#compileValues(schema, path);
    if ('anyOf' in schema || 'oneOf' in schema || 'allOf' in schema) return this.#compileUnion(schema, path);
    const unknown = Object.keys(schema).find((keyword) => !typedKeywords.has(keyword) && !annotations.has(keyword));
    if (unknown !== undefined) throw schemaError(at(path, unknown), 'this keyword is not supported');
    const named = this.#typesOf(schema, path);
    return named ? choice(...named.map((type) => this.#compileType(type, schema, path))) : this.anyValue();
  }

  #compileType(type: TypeName, schema: Schema, path: string): Node {
    switch (type) {
      case 'object':
        return compileObject(this, schema, path);
      case 'array':
        return compileArray(this, schema, path);
      case 'string':
        return compileString(this, schema, path);
      case 'number':
      case 'integer':
        return compileNumber(schema, type === 'integer', path);
      case 'boolean':
        return literals(['true', 'false']);
      case 'null':
        return literals(['null']);
    }
  }

  /** The types named, or those that the keywords speak of; undefined where there is nothing of either. */
  #typesOf(schema: Schema, path: string): readonly TypeName[] | undefined {
    const { type } = schema;
    if (type === undefined) {
      const meant = typeNames.filter((name) => name !== 'integer' && types[name].some((keyword) => schema[keyword] !== undefined));
      return meant.length > 0 ? meant : undefined;
    }
    const named: readonly unknown[] = Array.isArray(type) ? [...new Set(type)] : [type];
    const wrong = named.find((name) => !typeNames.includes(name as TypeName));
    if (wrong !== undefined || named.length === 0) throw schemaError(at(path, 'type'), `must be among ${typeNames.join(', ')}`);
    // Every integer is a number.
    return (named as TypeName[]).filter((name) => name !== 'integer' || !named.includes('number'));
  }

  #compileReference(schema: Schema, path: string): Node {
    this.#refuseOthers(schema, ['$ref'], path);
    const pointer = schema['$ref'];
    const refPath = at(path, '$ref');
    if (typeof pointer !== 'string') throw schemaError(refPath, 'must be a string');
    const known = this.#references.get(pointer);
    if (known) return known.node;
    const node: Reference = { kind: 'reference', target: undefined };
    this.#references.set(pointer, { node, path: refPath });
    return node;
  }

  #pathOf(pointer: string): string {
    return this.#path + pointer.slice(1).replaceAll('/', '.');
  }

  #resolve(pointer: string, path: string): unknown {
    if (!/^#(?:\/|$)/.test(pointer)) throw schemaError(path, "must point into this schema: '#' or '#/…'");
    let target = this.#root;
    for (const part of pointer.split('/').slice(1)) {
      const key = decoded(part)?.replaceAll('~1', '/').replaceAll('~0', '~');
      if (key === undefined || typeof target !== 'object' || target === null || !Object.hasOwn(target, key))
        throw schemaError(path, 'points to nothing');
      target = (target as Record<string, unknown>)[key];
    }
    return target;
  }

  #compileValues(schema: Schema, path: string): Node {
    this.#refuseOthers(schema, ['const', 'enum', 'type'], path);
    const isConst = 'const' in schema;
    if (isConst && 'enum' in schema) throw schemaError(at(path, 'enum'), "cannot stand beside 'const'");
    const values: unknown = isConst ? [schema['const']] : schema['enum'];
    const valuesPath = at(path, isConst ? 'const' : 'enum');
    if (!Array.isArray(values)) throw schemaError(valuesPath, 'must be an array of values');
    const named = this.#typesOf(schema, path);
    const fitting = values.filter((value) => !named || named.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw schemaError(valuesPath, 'has no value of the type');
    this.spend('enumValues', fitting.length, valuesPath);
    return literals(fitting.map((value) => JSON.stringify(value)));
  }

  #compileUnion(schema: Schema, path: string): Node {
    const keyword = (['anyOf', 'oneOf', 'allOf'] as const).find((name) => name in schema) as string;
    this.#refuseOthers(schema, [keyword], path);
    const options = schema[keyword];
    const unionPath = at(path, keyword);
    if (!Array.isArray(options) || options.length === 0) throw schemaError(unionPath, 'must be an array of at least one schema');
    if (keyword === 'allOf' && options.length > 1) throw schemaError(unionPath, 'is supported with one schema only');
    if (keyword === 'oneOf') this.#checkDisjoint(options, unionPath);
    return choice(...options.map((option, index) => this.compile(option, at(unionPath, index))));
  }

  /** `oneOf` forbids what satisfies two of its schemas; a grammar can only promise that where no value does. */
  #checkDisjoint(options: readonly unknown[], path: string): void {
    if (options.length > 100) throw schemaError(path, 'has more than 100 schemas');
    const resolve = (schema: unknown) =>
      isObject(schema) && typeof schema['$ref'] === 'string' ? this.#resolve(schema['$ref'], path) : schema;
    const alternatives = new Disjointness(resolve, (comparisons) => this.spend('comparisons', comparisons, path), this.#facts);
    for (const [index, option] of options.entries()) {
      for (const [other, before] of options.slice(0, index).entries()) {
        if (!alternatives.areDisjoint(before, option))
          throw schemaError(
            at(path, index),
            `may hold together with ${at(path, other)}: tell them apart by 'type', or a required property with 'const', or use 'anyOf'`,
          );
      }
    }
  }

  #refuseOthers(schema: Schema, keywords: readonly string[], path: string): void {
    const other = Object.keys(schema).find((keyword) => !keywords.includes(keyword) && !annotations.has(keyword));
    if (other !== undefined)
      throw schemaError(at(path, other), `is not supported beside '${keywords.find((keyword) => keyword in schema)}'`);
  }
}

/** Undefined where a percent sign begins no character. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function isOfType(value: unknown, type: TypeName): boolean {
  return type === 'integer' ? Number.isInteger(value) : typeOfValue(value) === type;
}
