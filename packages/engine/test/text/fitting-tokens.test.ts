import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PromptSegment } from '@open-autoglm/protocol';
import { fittingTokens } from '../../src/text/fitting-tokens.ts';

type TokenizeSegment = (segment: PromptSegment) => number[];

/** Runs of one character, 16 at most, are a token: a cut changes tokens near it. */
const byRuns: TokenizeSegment = ({ text }) =>
  Array.from(text.matchAll(/([^])\1{0,15}/g), ([run]) => run.charCodeAt(0) * 16 + run.length - 1);
const text = (content: string): PromptSegment => ({ kind: 'text', text: content });

function fitting(segments: readonly PromptSegment[], tokensMax: number, tokenize: TokenizeSegment): number[] | undefined {
  const reading = fittingTokens(segments, tokensMax);
  let next = reading.next();
  while (!next.done) next = reading.next(tokenize(next.value));
  return next.value;
}

function counting(tokenize: TokenizeSegment) {
  const counted = {
    characters: 0,
    tokenize: (segment: PromptSegment) => {
      counted.characters += segment.text.length;
      return tokenize(segment);
    },
  };
  return counted;
}

describe('tokens that fit', () => {
  it('are those of each segment as a whole, and nothing where they are too many', () => {
    const segments = fc.array(
      fc.record({
        kind: fc.constantFrom('text' as const, 'control' as const),
        text: fc
          .array(fc.tuple(fc.constantFrom('a', 'b', ' '), fc.nat(40)), { maxLength: 40 })
          .map((runs) => runs.map(([of, count]) => of.repeat(count)).join('')),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(segments, fc.integer({ min: 8, max: 120 }), (list, tokensMax) => {
        const whole = list.flatMap(byRuns);
        expect(fitting(list, tokensMax, byRuns)).toEqual(whole.length <= tokensMax ? whole : undefined);
      }),
    );
  });

  it('reads a prompt that is like others once', () => {
    const counted = counting(byRuns);
    const prompt = 'abcd'.repeat(250);
    expect(fitting([text(prompt)], 1000, counted.tokenize)).toHaveLength(1000);
    expect(counted.characters).toBe(prompt.length);
  });

  it.each([
    ['tokens of one character', 'ab', 4],
    ['tokens of sixteen', 'a'.repeat(16), 64],
  ])('are not looked for beyond the beginning of a prompt far too long: %s', (_, piece, times) => {
    const counted = counting(byRuns);
    const segments = [text('a b'), text(piece.repeat(1_000_000 / piece.length)), text(piece.repeat(1_000_000 / piece.length))];
    expect(fitting(segments, 1000, counted.tokenize)).toBeUndefined();
    expect(counted.characters).toBeLessThanOrEqual(8 * 16 * 1000);
    expect(counted.characters).toBeLessThanOrEqual(2 * times * 1000 + 3);
  });

  it('stop at the segment with which they are too many', () => {
    const counted = counting(byRuns);
    const segments = Array.from({ length: 1000 }, () => text('ab'.repeat(100)));
    expect(fitting(segments, 1000, counted.tokenize)).toBeUndefined();
    expect(counted.characters).toBe(1200);
  });
});
