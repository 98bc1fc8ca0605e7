import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutStretches } from '../../src/text/cut-stretches.ts';

describe('a text in stretches', () => {
  it('is whole again when joined, has no stretch that is too long, and no character cut in two', () => {
    const pieces = fc.array(fc.tuple(fc.constantFrom('a', ' ', '。', '中', '😀', '\n', '字，'), fc.nat(30)), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, fc.integer({ min: 2, max: 20 }), (runs, max) => {
        const text = runs.map(([of, count]) => of.repeat(count)).join('');
        const cut = cutStretches(text, max);
        expect(cut.join('')).toBe(text);
        for (const piece of cut) {
          for (const [stretch] of piece.matchAll(/\s+|\S+/g)) expect(stretch.length).toBeLessThanOrEqual(max);
          expect(piece.isWellFormed()).toBe(true);
        }
      }),
    );
  });

  it('is cut nowhere where people write it, and after a sentence before within a word', () => {
    const prose = 'It rained. '.repeat(100);
    expect(cutStretches(prose, 20)).toEqual([prose]);
    expect(cutStretches('明天下午三点，在国贸店洗车。请预约', 12)).toEqual(['明天下午三点，', '在国贸店洗车。请预约']);
    expect(cutStretches('a'.repeat(25), 10)).toEqual(['a'.repeat(10), 'a'.repeat(10), 'a'.repeat(5)]);
  });
});
