import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileSchema } from '../../src/constraints/schema/compile-schema.ts';
import { startOf } from '../../src/constraints/matcher.ts';
import { accepts, constraintOf, writeAtRandom } from './support.ts';

const ajv = new Ajv2020.Ajv2020({ strict: false, allErrors: false, multipleOfPrecision: 9 });
addFormats.default(ajv);

/** Writes by the schema's grammar, again and again; every text must satisfy the schema. Returns how many were whole. */
function checkWritten(schema: object, seed: number, count: number): number {
  const validate = ajv.compile(schema);
  const random = mulberry(seed);
  let whole = 0;
  for (let run = 0; run < count; run += 1) {
    const text = writeAtRandom(constraintOf(schema), random);
    if (text === undefined) continue;
    whole += 1;
    const value: unknown = JSON.parse(text);
    expect({ text, isValid: validate(value), errors: validate.errors }).toEqual({ text, isValid: true, errors: null });
  }
  return whole;
}

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const name = fc.constantFrom('a', 'b', 'name', '城市', 'with space', 'q"uote', 'back\\slash', '');
const bound = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constantFrom(0.5, -0.25, 1.75, 100.125));
const leaf = fc.oneof(
  fc.constantFrom(
    { type: 'boolean' },
    { type: 'null' },
    { type: 'integer' },
    { type: 'number' },
    { type: 'string' },
    {},
    true,
    { type: 'object' },
    { type: ['string', 'null'] },
  ),
  fc.record({ type: fc.constant('string'), minLength: fc.integer({ min: 0, max: 3 }), maxLength: fc.integer({ min: 3, max: 6 }) }),
  fc
    .constantFrom('^[a-c]{2,4}$', '^\\d{3}-\\d{2}$', '^(?:红|绿|蓝)色?$', 'x', '^[^a]*$', '^a|b$')
    .map((pattern) => ({ type: 'string', pattern })),
  fc
    .constantFrom('date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid')
    .map((format) => ({ type: 'string', format })),
  fc
    .tuple(fc.constantFrom('integer', 'number'), bound, fc.nat(60))
    .map(([type, minimum, width]) => ({ type, minimum, maximum: minimum + width + 1 })),
  fc
    .tuple(bound, fc.constantFrom(0.25, 0.1, 3, 7))
    .map(([exclusiveMinimum, multipleOf]) => ({ type: 'number', exclusiveMinimum, exclusiveMaximum: exclusiveMinimum + 20, multipleOf })),
  fc
    .uniqueArray(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 5, comparator: 'SameValueZero' })
    .map((values) => ({ enum: values })),
  fc.jsonValue({ maxDepth: 1 }).map((value) => ({ const: value })),
);

const { schema: randomSchema } = fc.letrec<{ schema: object | boolean; object: object; array: object }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'schema' },
    leaf,
    tie('object'),
    tie('array'),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
  object: fc
    .record({
      names: fc.uniqueArray(name, { maxLength: 4 }),
      values: fc.array(tie('schema'), { minLength: 4, maxLength: 4 }),
      required: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      more: fc.constantFrom(undefined, false, true, { type: 'integer' }),
    })
    .map(({ names, values, required, more }) => ({
      type: 'object',
      properties: Object.fromEntries(names.map((key, index) => [key, values[index]])),
      required: names.filter((_, index) => required[index]),
      ...(more !== undefined && { additionalProperties: more }),
    })),
  array: fc
    .tuple(tie('schema'), fc.integer({ min: 0, max: 2 }), fc.integer({ min: 2, max: 4 }))
    .map(([items, minItems, maxItems]) => ({ type: 'array', items, minItems, maxItems })),
}));

describe('a schema as a grammar', () => {
  it('lets through only what satisfies the schema', () => {
    let whole = 0;
    fc.assert(
      fc.property(
        randomSchema.filter((schema) => typeof schema === 'object'),
        fc.nat(),
        (schema, seed) => {
          whole += checkWritten(schema as object, seed, 3);
        },
      ),
      { numRuns: 150 },
    );
    expect(whole).toBeGreaterThan(200);
  }, 30_000);

  it.each<[string, object]>([
    [
      'members counted',
      {
        type: 'object',
        properties: { a: { type: 'integer' }, b: { type: 'integer' }, c: { type: 'integer' } },
        required: ['b'],
        minProperties: 2,
        maxProperties: 2,
      },
    ],
    ['other members counted', { type: 'object', additionalProperties: { type: 'boolean' }, minProperties: 2, maxProperties: 3 }],
    ['required but not listed', { type: 'object', properties: { a: true }, required: ['z'], additionalProperties: { type: 'null' } }],
    [
      'a list of itself',
      {
        $ref: '#/$defs/node',
        $defs: {
          node: {
            type: 'object',
            properties: { value: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
            required: ['value', 'next'],
          },
        },
      },
    ],
    [
      'itself, with a name',
      {
        $id: 'https://example.com/node',
        type: 'object',
        properties: { value: { type: 'integer' }, next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
        required: ['value', 'next'],
      },
    ],
    [
      'a tuple',
      { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }], items: { type: 'null' }, minItems: 1, maxItems: 4 },
    ],
    [
      'told apart by a tag',
      {
        oneOf: [
          { type: 'object', properties: { kind: { const: 'a' }, x: { type: 'integer' } }, required: ['kind', 'x'] },
          { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] },
        ],
      },
    ],
    ['a pattern of a length', { type: 'string', pattern: 'b', minLength: 3, maxLength: 5 }],
    ['no type', { minLength: 2, minimum: 5 }],
  ])('%s', (_, schema) => {
    expect(checkWritten(schema, 7, 40)).toBeGreaterThan(5);
  });

  it.each<[string, string, Uint8Array]>([
    ['a character', '城市', Uint8Array.of(0xe5, 0x22)],
    ['an escape', 'back\\slash', new TextEncoder().encode('back\\n')],
  ])('lets no other key go on from inside %s of a property', (_, name, key) => {
    const node = compileSchema({ type: 'object', properties: { [name]: true }, additionalProperties: true }, 'schema');
    let state: ReturnType<typeof startOf> | undefined = startOf(node);
    for (const byte of [...new TextEncoder().encode('{"'), ...key]) state = state?.after(byte);
    expect(state).toBeUndefined();
  });

  it('takes what satisfies it, with usual white space', () => {
    const node = compileSchema(
      {
        type: 'object',
        properties: {
          城市: { type: 'string' },
          n: { type: 'number', minimum: -1, maximum: 2.5 },
          list: { type: 'array', items: { type: 'integer' } },
        },
        required: ['城市'],
        additionalProperties: false,
      },
      'schema',
    );
    expect(accepts(node, '{"城市":"北京 😀 \\u4eac\\n","n":-0.25,"list":[1,20,-3]}')).toBe(true);
    expect(accepts(node, '{\n  "城市": "",\n  "n": 2.5,\n  "list": [\n    1\n  ]\n}')).toBe(true);
    expect(accepts(node, '{"城市":"a","list":[]}')).toBe(true);
    for (const wrong of [
      '{}',
      '{"城市":1}',
      '{"n":1,"城市":""}',
      '{"城市":"a","n":2.6}',
      '{"城市":"a\n"}',
      '{"城市":"\\ud800"}',
      '{"城市":"a","x":1}',
      '{"城市":"a",}',
      '{"城市":"a"}  ',
    ]) {
      expect([wrong, accepts(node, wrong)]).toEqual([wrong, false]);
    }
  });

  it('keeps white space and numbers short', () => {
    const node = compileSchema({ type: 'array', items: { type: 'number' } }, 'schema');
    expect(accepts(node, '[1e5, -0.5E-3]')).toBe(true);
    for (const wrong of ['[  1]', '[1 ]  ', '[\n\n1]', `[1${'0'.repeat(20)}]`, '[1e999]', '[01]', '[1.]'])
      expect([wrong, accepts(node, wrong)]).toEqual([wrong, false]);
  });

  it.each<[string, object, string]>([
    ['unknown keyword', { type: 'object', properties: { a: { type: 'string', not: {} } } }, 's.properties.a.not'],
    ['patternProperties', { type: 'object', patternProperties: {} }, 's.patternProperties'],
    ['uniqueItems', { type: 'array', uniqueItems: true }, 's.uniqueItems'],
    ['unknown format', { type: 'string', format: 'colour' }, 's.format'],
    ['look-ahead', { type: 'string', pattern: '^(?=a)' }, 's.pattern'],
    ['no such type', { type: 'text' }, 's.type'],
    ['nothing there', { $ref: '#/$defs/a' }, 's.$ref'],
    ['elsewhere', { $ref: 'http://example.com/schema' }, 's.$ref'],
    ['itself at once', { anyOf: [{ $ref: '#' }, { $ref: '#' }] }, 's.anyOf[0].$ref'],
    ['endless', { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 's.properties.a.$ref'],
    ['both may hold', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, 's.oneOf[1]'],
    ['false', { type: 'array', items: { properties: { a: false } } }, 's.items.properties.a'],
    ['no number', { type: 'integer', minimum: 1.2, maximum: 1.8 }, 's'],
    ['no string', { type: 'string', pattern: '^abc$', maxLength: 2 }, 's.pattern'],
    ['contradiction', { type: 'object', required: ['a', 'b'], maxProperties: 1 }, 's.maxProperties'],
    ['not a schema', { type: 'array', items: 3 }, 's.items'],
    ['beside a reference', { $ref: '#/$defs/a', minLength: 1, $defs: { a: {} } }, 's.minLength'],
  ])('refuses what it cannot hold an answer to, by the field: %s', (_, schema, param) => {
    expect(() => compileSchema(schema, 's')).toThrow(expect.objectContaining({ code: 'invalid_value', param }));
  });
});
