import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerFeatures } from '../../../src/router/tiers/policy/answer-features.ts';
import { checkArithmetic } from '../../../src/router/tiers/policy/arithmetic.ts';
import { hashedSize, hashedWords } from '../../../src/router/tiers/policy/hashed-words.ts';
import { promptFeatures } from '../../../src/router/tiers/policy/prompt-features.ts';

describe('arithmetic in a text', () => {
  it.each([
    ['She has 16 - 3 = 13 eggs.', 1, 0],
    ['She has 16 - 3 = 12 eggs.', 1, 1],
    ['9 * $2 = $<<9*2=18>>18', 1, 0],
    ['2/3 = 0.67, and 2/3 = 0.5', 2, 1],
    ['12 eggs, 5, 3 + 4 = 7', 1, 0],
    ['(2 + 3) × 4 = 20', 1, 0],
    ['5% of 50,000: 50,000 * 5% = 2,500', 1, 0],
    ['1 / 0 = 5', 0, 0],
    ['x = 5', 0, 0],
    ['It is 7 = 7.', 0, 0],
    ['3 - -2 = 5', 1, 0],
    ['((((1 + 2 = 3', 0, 0],
    ['1 + 1 = 2 + 1 = 3', 1, 0],
    ['20 + 7 = 13.5 * 2', 0, 0],
    ['40 * 50 = 1,000 * 2', 0, 0],
    ['5 x 4 = 2 x 10', 0, 0],
    ['4 + 3 = 10 - 3', 0, 0],
    ['3 * 9 = 27, so 3 * 9 = 27 - as it should be', 2, 0],
    ['1 + 1 = 2, 3 + 4 = 7', 2, 0],
    ['2 + 3 = 6\n- 3 eggs', 1, 1],
  ])('%s', (text, count, wrong) => {
    expect(checkArithmetic(text)).toEqual({ count, wrong });
  });

  it('is bounded for any text', () => {
    expect(checkArithmetic('1+1=2 '.repeat(100_000)).count).toBeLessThanOrEqual(256);
    expect(checkArithmetic(`${'('.repeat(20_000)}1+1${')'.repeat(20_000)} = 2`)).toEqual({ count: 0, wrong: 0 });
    expect(checkArithmetic('1 '.repeat(100_000)).count).toBe(0);
    expect(checkArithmetic(', '.repeat(100_000).concat('= 1 = 1')).count).toBe(0);
  });

  it('agrees with what was worked out', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 9999 }),
        fc.integer({ min: 0, max: 9999 }),
        fc.constantFrom('+', '-', '*'),
        fc.integer({ min: 1, max: 9 }),
        (a, b, operator, off) => {
          const value = operator === '+' ? a + b : operator === '-' ? a - b : a * b;
          expect(checkArithmetic(`so ${a} ${operator} ${b} = ${value}.`)).toEqual({ count: 1, wrong: 0 });
          expect(checkArithmetic(`so ${a} ${operator} ${b} = ${value + off}.`)).toEqual({ count: 1, wrong: 1 });
        },
      ),
    );
  });
});

describe('features', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 400 }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.constantFrom('', '你好，三加四等于几？', '1,,,2..3 $%'),
  );

  it('are finite numbers, always of the same names', () => {
    const promptNames = Object.keys(promptFeatures('a'));
    const answerNames = Object.keys(answerFeatures('a', 'b'));
    fc.assert(
      fc.property(text, text, (prompt, answer) => {
        expect(Object.keys(promptFeatures(prompt))).toEqual(promptNames);
        expect(Object.keys(answerFeatures(prompt, answer))).toEqual(answerNames);
        for (const value of [...Object.values(promptFeatures(prompt)), ...Object.values(answerFeatures(prompt, answer))])
          expect(Number.isFinite(value)).toBe(true);
      }),
    );
  });

  it('of words are a vector of length 1 within its places', () => {
    fc.assert(
      fc.property(text, (prompt) => {
        const { places, values } = hashedWords(prompt);
        expect(places.every((place) => place >= 0 && place < hashedSize)).toBe(true);
        const length = Math.hypot(...values);
        expect(length < 1e-9 || Math.abs(length - 1) < 1e-9).toBe(true);
      }),
    );
  });

  it('of a very long prompt are those of its beginning, and its length', () => {
    const long = 'How many? 12 apples. '.repeat(1000);
    expect({ ...promptFeatures(`${long}${'and 7% '.repeat(5000)}`), characters: 0 }).toEqual({ ...promptFeatures(long), characters: 0 });
  });
});
