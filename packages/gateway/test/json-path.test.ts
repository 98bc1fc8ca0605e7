import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findPath, nameOfPath, valueAt } from '../src/common/json-path.ts';

describe('the way to a value', () => {
  it('leads to every value, in the order of the text, and knows how deep it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (root) => {
        const seen: unknown[] = [];
        findPath(root, (value) => {
          seen.push(value);
          return false;
        });
        for (const [index, wanted] of seen.entries()) {
          let met = 0;
          let depthThere = -1;
          const path = findPath(root, (_, depth) => {
            depthThere = depth;
            return met++ === index;
          });
          expect(valueAt(root, path ?? [])).toBe(wanted);
          expect(path).toHaveLength(depthThere);
        }
        expect(seen.filter((value) => typeof value === 'string')).toEqual(stringsOf(root));
      }),
    );
  });

  it('has the name that a client writes', () => {
    const root = { messages: [{ content: 'a' }, { content: [{ text: 'here' }] }] };
    expect(nameOfPath(findPath(root, (value) => value === 'here') ?? [])).toBe('messages[1].content[0].text');
    expect(nameOfPath(findPath(root, () => true) ?? ['none'])).toBe('');
    expect(findPath(root, (value) => value === 'nowhere')).toBeUndefined();
  });

  it('takes what is nested too deeply for recursion', () => {
    let root: unknown = 'bottom';
    for (let depth = 0; depth < 100_000; depth += 1) root = [root];
    expect(findPath(root, (value) => value === 'bottom')).toHaveLength(100_000);
  });
});

function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}
