import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTokenTextDecoder } from '../../src/text/text-decoder.ts';
import { cut } from './cut.ts';

const wellFormed = fc.string({ unit: 'binary', maxLength: 40 });
const cuts = fc.array(fc.nat(), { maxLength: 12 });

function decodeInPieces(bytes: Uint8Array, places: readonly number[]): string {
  const decoder = createTokenTextDecoder();
  return (
    cut(bytes, places)
      .map((piece) => decoder.push(piece))
      .join('') + decoder.flush()
  );
}

test('text cut at any bytes comes back whole', () => {
  fc.assert(
    fc.property(wellFormed, cuts, (text, places) => {
      expect(decodeInPieces(new TextEncoder().encode(text), places)).toBe(text);
    }),
  );
});

test('text cut at every byte comes back whole', () => {
  const text = '\ufeff中国的首都是北京。🚗 naïve é̂ 👩‍👩‍👧\ufeff';
  const bytes = new TextEncoder().encode(text);
  expect(decodeInPieces(bytes, Array.from(bytes.keys()))).toBe(text);
});

test('any bytes, cut anywhere, give what the whole gives', () => {
  const likelyToBreak = fc.constantFrom(
    0x41,
    0x80,
    0xbf,
    0xc2,
    0xe4,
    0xb8,
    0xad,
    0xed,
    0xa0,
    0xf0,
    0x9f,
    0x9a,
    0x97,
    0xf4,
    0x90,
    0xff,
    0xef,
    0xbb,
  );
  const bytes = fc.array(fc.oneof(likelyToBreak, fc.nat(255)), { maxLength: 40 }).map((values) => Uint8Array.from(values));
  fc.assert(
    fc.property(bytes, cuts, (whole, places) => {
      expect(decodeInPieces(whole, places)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(whole));
    }),
    { numRuns: 500 },
  );
});

test('a character appears with its last byte', () => {
  const decoder = createTokenTextDecoder();
  const [first, second, third] = new TextEncoder().encode('京');
  expect(decoder.push(Uint8Array.of(first as number, second as number))).toBe('');
  expect(decoder.push(Uint8Array.of(third as number))).toBe('京');
});

test('an incomplete character at the end is one U+FFFD, and the decoder starts anew', () => {
  const decoder = createTokenTextDecoder();
  expect(decoder.push(Uint8Array.of(0x41, 0xf0, 0x9f, 0x9a))).toBe('A');
  expect(decoder.flush()).toBe('\ufffd');
  expect(decoder.flush()).toBe('');
  expect(decoder.push(Uint8Array.of(0x42))).toBe('B');
});
