import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { applyPatch, createPatch } from 'rfc6902';
import { describe, expect, it } from 'vitest';
import { applyJsonPatch } from '../../src/ingress/json-patch.ts';
import { applyMergePatch } from '../../src/ingress/sessions/merge-patch.ts';

interface Case {
  readonly comment?: string;
  readonly doc: unknown;
  readonly patch: readonly unknown[];
  readonly expected?: unknown;
  readonly error?: string;
  readonly disabled?: boolean;
}

const limits = { operationsMax: 10_000, copiedMax: 10_000 };
const files = ['json-patch-tests.json', 'json-patch-spec-tests.json'].map((name) => `../shared/data/conformance/${name}`);

describe.each(files)('JSON Patch, %s', (file) => {
  if (!existsSync(file)) return it.skip('is not here');
  const cases = JSON.parse(readFileSync(file, 'utf8')) as readonly Case[];
  it.each(
    cases
      .filter(({ disabled }) => !disabled)
      .map((entry, index) => [`${index}: ${entry.comment ?? JSON.stringify(entry.patch)}`, entry] as const),
  )('%s', (_, { doc, patch, expected, error }) => {
    const apply = () => applyJsonPatch(structuredClone(doc), patch, limits);
    if (error !== undefined) expect(apply).toThrow(expect.objectContaining({ name: 'AutoglmError' }));
    else expect(apply()).toEqual(expected ?? doc);
  });
});

describe('JSON Patch', () => {
  it('agrees with another implementation on patches between any two documents', () => {
    // Ours refuses the name that leads to prototypes, and theirs some more, which fast-check likes to make.
    const named = (value: object) => JSON.parse(JSON.stringify(value).replaceAll(/__proto__|prototype|constructor/g, 'p')) as object;
    const document = fc.dictionary(fc.constantFrom('messages', 'a', 'b/c', 'd~e'), fc.jsonValue({ maxDepth: 3 })).map(named);
    fc.assert(
      fc.property(document, document, (from, to) => {
        const patch = createPatch(from, to);
        const theirs = structuredClone(from);
        applyPatch(theirs, patch);
        expect(applyJsonPatch(structuredClone(from), patch, limits)).toEqual(theirs);
      }),
    );
  });

  it.each([
    ['/__proto__/polluted', {}],
    ['/messages/__proto__/polluted', { messages: [] }],
  ])('leads out of no document: %s', (path, document) => {
    for (const operation of [
      { op: 'add', path, value: true },
      { op: 'copy', from: path, path: '/x' },
      { op: 'move', from: path, path: '/x' },
      { op: 'test', path, value: true },
    ]) {
      expect(() => applyJsonPatch(document, [operation], limits)).toThrow('is not a place in a document');
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it.each(['length', '01', '-1', '1e0', ' 0', '', '4294967296', '-'])('takes %j for no element of an array', (token) => {
    const document = () => ({ messages: ['a', 'b', 'c'] });
    for (const op of ['remove', 'replace', 'test'] as const) {
      expect(() => applyJsonPatch(document(), [{ op, path: `/messages/${token}`, value: 3 }], limits)).toThrow('there is no such place');
    }
  });

  it.each([
    [{}, 'must be an array'],
    [[{ op: 'spread', path: '' }], "'[0].op'"],
    [[{ op: 'add', path: 'messages', value: 1 }], "'[0].path': a JSON Pointer begins with a slash"],
    [[{ op: 'add', path: '/a~2', value: 1 }], 'a tilde'],
    [
      [
        { op: 'test', path: '', value: {} },
        { op: 'add', path: '/a' },
      ],
      "'[1].value': is missing",
    ],
    [[null], "'[0]': must be an operation"],
    [[{ op: 'remove', path: '' }], 'the whole document cannot be removed'],
    [Array.from({ length: 10_001 }, () => ({ op: 'test', path: '', value: {} })), '10000 is the most'],
  ])('says what is wrong (%#)', (patch, reason) => {
    expect(() => applyJsonPatch({}, patch, limits)).toThrow(reason);
  });

  it('does not double a document until memory ends', () => {
    const patch = Array.from({ length: 60 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }));
    expect(() => applyJsonPatch({ a: ['x'] }, patch, limits)).toThrow('copies more than 10000 characters');
  });

  it.each([
    ['add', { value: 1 }],
    ['remove', {}],
    ['move', { from: '/a/1' }],
  ])('does not shift a long array for ever: %s', (op, more) => {
    const patch = Array.from({ length: 1000 }, () => ({ op, path: '/a/0', ...more }));
    expect(() => applyJsonPatch({ a: Array.from({ length: 200_000 }, () => 0) }, patch, limits)).toThrow(
      'shifts more than 100000000 elements',
    );
  });

  it('has places for what a schema may call its properties', () => {
    const schema = { properties: { constructor: { type: 'string' } } };
    const patch = [
      { op: 'replace', path: '/properties/constructor/type', value: 'number' },
      { op: 'add', path: '/properties/prototype', value: {} },
    ];
    expect(applyJsonPatch(schema, patch, limits)).toEqual({ properties: { constructor: { type: 'number' }, prototype: {} } });
    for (const path of ['/constructor/prototype/polluted', '/a/prototype/polluted']) {
      expect(() => applyJsonPatch({ a: {} }, [{ op: 'add', path, value: true }], limits)).toThrow('there is nothing to add to');
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('keeps what it copies apart', () => {
    expect(
      applyJsonPatch(
        { a: { x: 1 } },
        [
          { op: 'copy', from: '/a', path: '/b' },
          { op: 'replace', path: '/b/x', value: 2 },
        ],
        limits,
      ),
    ).toEqual({ a: { x: 1 }, b: { x: 2 } });
  });
});

/** RFC 7396, appendix A. */
const mergeCases: readonly (readonly [unknown, unknown, unknown])[] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

describe('a merge patch', () => {
  it.each(mergeCases)('%j with %j is %j', (target, patch, expected) => {
    expect(applyMergePatch(target, patch)).toEqual(expected);
  });

  it('leads out of no document', () => {
    const patch = JSON.parse('{"a": {"__proto__": {"polluted": true}}}') as unknown;
    expect(() => applyMergePatch({ a: {} }, patch)).toThrow("'a.__proto__'");
    expect(applyMergePatch({}, { constructor: { name: 'x' } })).toEqual({ constructor: { name: 'x' } });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
