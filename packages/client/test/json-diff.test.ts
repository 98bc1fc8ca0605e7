import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { describe, expect, it } from 'vitest';
import { diffJson } from '../src/index.ts';

const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown);
const apply = (from: unknown, to: unknown) => {
  const copy = structuredClone(from) as object;
  expect(applyPatch(copy, diffJson(from, to)).filter((error) => error !== null)).toEqual([]);
  return copy;
};

describe('a difference', () => {
  it('makes one document of any other', () => {
    const document = fc.dictionary(fc.constantFrom('a', 'b/c', 'd~e', ''), json);
    fc.assert(fc.property(document, document, (from, to) => void expect(apply(from, to)).toEqual(to)));
  });

  it('makes one list of messages of any other, in place of which some stay', () => {
    const messages = fc.record({
      messages: fc.array(fc.record({ role: fc.constantFrom('user', 'assistant'), content: fc.constantFrom('a', 'b', 'c') }), {
        maxLength: 8,
      }),
    });
    fc.assert(fc.property(messages, messages, (from, to) => void expect(apply(from, to)).toEqual(to)));
  });

  const turns = (...contents: string[]) => ({ messages: contents.map((content) => ({ role: 'user', content })) });
  it.each([
    ['nothing where nothing changed', turns('a', 'b'), turns('a', 'b'), []],
    ['a turn at the end', turns('a'), turns('a', 'b'), [{ op: 'add', path: '/messages/-', value: { role: 'user', content: 'b' } }]],
    ['a turn that was taken back', turns('a', 'b'), turns('a'), [{ op: 'remove', path: '/messages/1' }]],
    [
      'turns that went at the beginning',
      turns('s', 'a', 'b', 'c'),
      turns('s', 'c'),
      [
        { op: 'remove', path: '/messages/2' },
        { op: 'remove', path: '/messages/1' },
      ],
    ],
    ['a word in a turn', turns('a', 'b', 'c'), turns('a', 'x', 'c'), [{ op: 'replace', path: '/messages/1/content', value: 'x' }]],
    [
      'a field that came, and one that went',
      { a: 1, x: undefined },
      { b: 2, a: undefined },
      [
        { op: 'remove', path: '/a' },
        { op: 'add', path: '/b', value: 2 },
      ],
    ],
  ])('is %s', (_, from, to, expected) => {
    expect(diffJson(from, to)).toEqual(expected);
  });
});
