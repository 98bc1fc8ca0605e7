import Type from 'typebox';
import { describe, expect, it } from 'vitest';
import { createValidator, optional } from '../src/ingress/validate.ts';

const closed = { additionalProperties: false } as const;
const validate = createValidator(
  Type.Object(
    {
      items: Type.Array(Type.Object({ id: Type.String() }, closed), { maxItems: 1000 }),
      options: optional(
        Type.Object({ deep: optional(Type.Object({ count: Type.Integer({ minimum: 1 }) }, closed), 'an object with count') }, closed),
        'an object',
      ),
      either: optional(Type.Union([Type.String(), Type.Array(Type.String())]), 'a string or strings'),
      7: Type.Optional(Type.String()),
    },
    closed,
  ),
);
const of = (changes: object) => ({ items: [], ...changes });

describe('what is wrong with a value', () => {
  it.each([
    ["Missing required parameter: 'items'.", 'missing_parameter', 'items', {}],
    ["Unknown parameter: 'more'.", 'unknown_parameter', 'more', of({ more: 1 })],
    ["Missing required parameter: 'items[1].id'.", 'missing_parameter', 'items[1].id', of({ items: [{ id: 'a' }, {}] })],
    ["Unknown parameter: 'items[0].x'.", 'unknown_parameter', 'items[0].x', of({ items: [{ id: 'a', x: 1 }] })],
    ["Invalid value for 'items[0].id': must be string.", 'invalid_value', 'items[0].id', of({ items: [{ id: 1 }] })],
    ["Invalid value for 'items': must be an array.", 'invalid_value', 'items', of({ items: 'a' })],
    [
      "Invalid value for 'items': must have 0 to 1000 items.",
      'invalid_value',
      'items',
      of({ items: Array.from({ length: 1001 }, () => 1) }),
    ],
    ["Invalid value for 'options': must be an object.", 'invalid_value', 'options', of({ options: [] })],
    [
      "Unknown parameter: 'options.deep.other'.",
      'unknown_parameter',
      'options.deep.other',
      of({ options: { deep: { other: 1, count: 1 } } }),
    ],
    [
      "Invalid value for 'options.deep.count': must be >= 1.",
      'invalid_value',
      'options.deep.count',
      of({ options: { deep: { count: 0 } } }),
    ],
    ["Invalid value for 'options.deep': must be an object with count.", 'invalid_value', 'options.deep', of({ options: { deep: 5 } })],
    ["Invalid value for 'either': must be a string or strings.", 'invalid_value', 'either', of({ either: ['a', 1] })],
    ["Invalid value for '7': must be string.", 'invalid_value', '7', of({ 7: 7 })],
    ['The body must be an object.', 'invalid_value', undefined, []],
  ])('%s', (message, code, param, value) => {
    expect(() => validate(value)).toThrow(expect.objectContaining({ code, param, message }));
  });

  it('stands after what the value is part of', () => {
    expect(() => validate(of({ items: [{}] }), 'turns[3]')).toThrow(expect.objectContaining({ param: 'turns[3].items[0].id' }));
  });

  it('is looked for no further than the first fault', () => {
    let reads = 0;
    const items = new Proxy(
      Array.from({ length: 1000 }, () => 1),
      { get: (target, key) => ((reads += 1), Reflect.get(target, key) as unknown) },
    );
    expect(() => validate({ items })).toThrow(expect.objectContaining({ param: 'items[0]' }));
    expect(reads).toBeLessThan(50);
  });
});
