import { describe, expect, it } from 'vitest';
import { compileSchema } from '../../src/constraints/schema/compile-schema.ts';
import { constraintOf, writeAtRandom } from './support.ts';

const refused = expect.objectContaining({ code: 'invalid_value', param: expect.stringMatching(/^schema/) });
const nest = (depth: number, wrap: (inner: object) => object, inner: object = { type: 'null' }): object =>
  depth === 0 ? inner : nest(depth - 1, wrap, wrap(inner));

const twice = (schema: object) => ({ anyOf: [schema, schema] });

describe('a hostile schema', () => {
  it.each<[string, () => object]>([
    ['deep', () => nest(5000, (items) => ({ type: 'array', items }))],
    [
      'wide',
      () => ({
        type: 'object',
        properties: Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`p${index}`, { type: 'null' }])),
      }),
    ],
    ['a huge enum', () => ({ enum: Array.from({ length: 50_000 }, (_, index) => index) })],
    ['a pattern that doubles', () => ({ type: 'string', pattern: '^(?:a|b)*a(?:a|b){30}$' })],
    ['a pattern that repeats', () => ({ type: 'string', pattern: '^(?:(?:(?:a{0,500}){0,500}){0,500})$' })],
    ['many patterns', () => ({ anyOf: Array.from({ length: 100 }, (_, index) => ({ type: 'string', pattern: `^${index}.{900}$` })) })],
    [
      'alternatives with a thousand members each',
      () => ({
        oneOf: Array.from({ length: 100 }, (_, option) => ({
          type: 'object',
          properties: { tag: { const: option } },
          required: [...Array.from({ length: 1000 }, (__, index) => `q${option}_${index}`), 'tag'],
        })),
      }),
    ],
    [
      'alternatives that are compared through references that double',
      () => ({
        oneOf: Array.from({ length: 100 }, (_, option) => ({
          type: 'object',
          properties: {
            ...Object.fromEntries(Array.from({ length: 30 }, (__, index) => [`p${index}`, { $ref: '#/$defs/d0' }])),
            tag: { const: option },
          },
          required: [...Array.from({ length: 30 }, (__, index) => `p${index}`), 'tag'],
        })),
        $defs: Object.fromEntries(
          Array.from({ length: 3 }, (_, depth) => [
            `d${depth}`,
            {
              type: 'object',
              properties: Object.fromEntries(
                Array.from({ length: 30 }, (__, index) => [`p${index}`, depth === 2 ? true : { $ref: `#/$defs/d${depth + 1}` }]),
              ),
              required: Array.from({ length: 30 }, (__, index) => `p${index}`),
            },
          ]),
        ),
      }),
    ],
    ['a long tuple', () => ({ type: 'array', prefixItems: Array.from({ length: 9000 }, () => ({ type: 'null' })) })],
    ['a reference that no URI could hold', () => ({ $ref: '#/%' })],
    [
      'references that double',
      () => ({
        $ref: '#/$defs/d60',
        $defs: Object.fromEntries(
          Array.from({ length: 61 }, (_, index) => [
            `d${index}`,
            index === 0 ? { $ref: '#/$defs/d60' } : { anyOf: [{ $ref: `#/$defs/d${index - 1}` }, { $ref: `#/$defs/d${index - 1}` }] },
          ]),
        ),
      }),
    ],
  ])('is refused: %s', (_, make) => {
    expect(() => compileSchema(make(), 'schema')).toThrow(refused);
  });

  it('has what many alternatives name together read once', () => {
    let readings = 0;
    const counted = { toJSON: () => (readings += 1) };
    const readingsOf = (count: number) => {
      readings = 0;
      compileSchema(
        {
          type: 'object',
          properties: Object.fromEntries(
            Array.from({ length: count }, (_, index) => [`p${index}`, { oneOf: [{ const: 'none' }, { $ref: '#/$defs/shared' }] }]),
          ),
          $defs: { shared: { enum: [counted] } },
        },
        'schema',
      );
      return readings;
    };
    expect(readingsOf(100)).toBe(readingsOf(1));
  });

  it.each<[string, object]>([
    [
      'ways that double with every byte',
      {
        $ref: '#/$defs/d40',
        $defs: Object.fromEntries(
          Array.from({ length: 41 }, (_, index) => [
            `d${index}`,
            index === 0 ? { type: 'null' } : twice({ type: 'array', minItems: 1, items: { $ref: `#/$defs/d${index - 1}` } }),
          ]),
        ),
      },
    ],
    [
      'a thousand ways',
      {
        anyOf: Array.from({ length: 1000 }, (_, index) => ({
          type: 'object',
          properties: { [`k${index % 7}`]: { type: 'string', maxLength: index } },
        })),
      },
    ],
  ])('costs a bounded number of steps: %s', (_, schema) => {
    const constraint = constraintOf(schema);
    const text = writeAtRandom(constraint, () => 0.4, 40);
    expect(text === undefined || JSON.parse(text) !== undefined).toBe(true);
  });
});
