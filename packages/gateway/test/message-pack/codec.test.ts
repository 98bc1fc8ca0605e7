import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Packr, Unpackr, unpack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { createMessagePackStream, decodeMessagePack, encodeMessagePack } from '../../src/common/message-pack.ts';

const file = '../shared/data/conformance/msgpack-test-suite.json';
type Case = Readonly<Record<string, unknown>> & { readonly msgpack: readonly string[] };

describe.skipIf(!existsSync(file))('the MessagePack test suite (skipped where ../shared/data is absent)', () => {
  const groups = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, readonly Case[]>>) : { none: [] };
  const cases = Object.entries(groups).flatMap(([name, entries]) => entries.map((entry, index) => [`${name} ${index}`, entry] as const));
  const bytesOf = (hex: string) => Buffer.from(hex.replaceAll('-', ''), 'hex');
  /** What JSON has a word for, by the suite's own names; `bignum` is one of them up to 2^53. */
  const valueOf = (entry: Case): { readonly value: unknown } | undefined => {
    const kind = ['nil', 'bool', 'number', 'string', 'array', 'map'].find((name) => Object.hasOwn(entry, name));
    if (kind !== undefined) return { value: entry[kind] };
    const big = typeof entry['bignum'] === 'string' ? BigInt(entry['bignum']) : undefined;
    return big !== undefined && big >= -(2n ** 53n) && big <= 2n ** 53n ? { value: Number(big) } : undefined;
  };
  /** With a number for an integer that it holds exactly, one of the forms may be a float; beyond 2^53 only floats can be read. */
  const isFloat = (hex: string) => /^c[ab]/.test(hex);

  it.each(cases)('%s', (_, entry) => {
    const expected = valueOf(entry);
    for (const hex of entry.msgpack) {
      // 0x40 … 0x7f are msgpackr's records, where any were announced; without them they are integers.
      if (expected) expect(decodeMessagePack(bytesOf(hex))).toEqual(expected.value);
      else if (!isFloat(hex)) expect(() => decodeMessagePack(bytesOf(hex))).toThrow(SyntaxError);
    }
    if (expected)
      expect(entry.msgpack).toContain(
        encodeMessagePack(expected.value, 'plain')
          .toString('hex')
          .replaceAll(/(..)(?!$)/g, '$1-'),
      );
  });
});

/**
 * msgpackr's extensions of structured clones: an array in an array in an array, each with what stands before it once more. Read to its end
 * it is 2^60 of them.
 */
const references = Array.from({ length: 60 }).reduce<Buffer>(
  (inner, _, index) => Buffer.concat([mark(0x69, index + 1), Buffer.from([0x92]), inner, mark(0x70, index)]),
  Buffer.concat([mark(0x69, 0), Buffer.from([0x90])]),
);
function mark(extension: number, id: number): Buffer {
  return Buffer.from([0xd6, extension, 0, 0, 0, id]);
}

const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown);

describe('MessagePack', () => {
  it.each(['plain', 'records'] as const)('says what JSON says: %s', (form) => {
    const reader = form === 'plain' ? new Unpackr({ useRecords: false }) : new Unpackr();
    fc.assert(
      fc.property(json, (value) => {
        const bytes = encodeMessagePack(value, form);
        expect(decodeMessagePack(bytes)).toEqual(value);
        expect(reader.unpack(bytes)).toEqual(value);
      }),
    );
  });

  it.each(['plain', 'records'] as const)('streams values that any reader takes apart: %s', (form) => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'c'), json), { minLength: 1, maxLength: 20 }), (values) => {
        const pack = createMessagePackStream(form);
        const bytes = Buffer.concat(values.map((value) => Buffer.from(pack({ ...value }))));
        const reader = form === 'plain' ? new Unpackr({ useRecords: false }) : new Unpackr({ structures: [] });
        expect(reader.unpackMultiple(bytes)).toEqual(values.map((value) => ({ ...value })));
      }),
    );
  });

  it('writes a shape once a stream', () => {
    const pack = createMessagePackStream('records');
    const chunk = (text: string) => pack({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: text } }] }).length;
    const first = chunk('x');
    expect(chunk('y')).toBeLessThan(first / 2);
  });

  it('honours toJSON and leaves out what is undefined', () => {
    expect(unpack(encodeMessagePack({ a: undefined, b: { toJSON: () => ({ c: undefined, d: 1 }) }, e: [undefined] }, 'plain'))).toEqual({
      b: { d: 1 },
      e: [null],
    });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a value', Buffer.from([0x82, 0xa1])],
    ['two values', Buffer.from([0xc0, 0xc0])],
    ['what is never used', Buffer.from([0xc1])],
    ['bytes', new Packr({ useRecords: false }).pack({ a: Buffer.from('x') })],
    ['a date', new Packr().pack([new Date(0)])],
    ['undefined', new Packr().pack({ a: undefined })],
    ['a set', new Packr({ moreTypes: true }).pack(new Set([1]))],
    ['a map with keys that are no strings', Buffer.from([0x81, 0x81, 0xc0, 0xc0, 0x01])],
    ['NaN', new Packr().pack({ a: NaN })],
    ['infinity', new Packr().pack([Infinity])],
    ['an integer beyond 2^53', Buffer.from('cfffffffffffffffff', 'hex')],
    ['a long array with nothing in it', Buffer.from('ddffffffff', 'hex')],
    ['long arrays, one in the other', Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from('dd01ffffff', 'hex')))],
    ['a hundred thousand arrays, one in the other', Buffer.alloc(100_000, 0x91)],
    ['references to what stands before them', references],
    ['a record that was not announced, with more after it', Buffer.from([0x92, 0x45, 0xc1])],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeMessagePack(bytes)).toThrow(SyntaxError);
  });

  it('never fails in another way, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          JSON.stringify(decodeMessagePack(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('pollutes nothing', () => {
    const bytes = Buffer.concat([
      Buffer.from([0x81, 0xa9]),
      Buffer.from('__proto__'),
      new Packr({ useRecords: false }).pack({ polluted: true }),
    ]);
    const value = decodeMessagePack(bytes) as { polluted?: unknown };
    expect(value.polluted).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
