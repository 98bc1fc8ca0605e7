import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromptLookup } from '../../src/speculation/prompt-lookup.ts';

const draftAfter = (tokens: readonly number[], max: number) => [...new PromptLookup(tokens).draft(max)];

describe('PromptLookup', () => {
  it('drafts what followed the last tokens before', () => {
    expect(draftAfter([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 3)).toEqual([4, 5, 6]);
  });

  it('drafts nothing when the last token is new, or nothing is asked for', () => {
    expect(draftAfter([1, 2, 3, 4], 3)).toEqual([]);
    expect(draftAfter([], 3)).toEqual([]);
    expect(draftAfter([1, 2, 3, 1, 2, 3], 0)).toEqual([]);
  });

  it('prefers the place whose past is alike for longer, and the later of two alike', () => {
    expect(draftAfter([7, 1, 2, 3, 50, 8, 1, 2, 3, 60, 7, 1, 2, 3], 1)).toEqual([50]);
    expect(draftAfter([1, 2, 3, 50, 1, 2, 3, 60, 1, 2, 3], 1)).toEqual([60]);
  });

  it('goes on round and round where the text repeats itself', () => {
    expect(draftAfter([1, 2, 1, 2, 1, 2], 5)).toEqual([1, 2, 1, 2, 1]);
    expect(draftAfter([4, 4, 4, 4], 3)).toEqual([4, 4, 4]);
  });

  it('takes two tokens or one where three are new, and says how long the match is', () => {
    const looked = [
      [1, 2, 3, 4, 9, 2, 3],
      [1, 2, 3, 4, 9, 3],
      [1, 2, 3, 4, 9, 8],
    ].map((tokens) => new PromptLookup(tokens));
    expect(looked.map(({ promised, matchLength }) => [promised, matchLength])).toEqual([
      [4, 2],
      [4, 1],
      [undefined, 0],
    ]);
  });

  it('follows a match as far as it goes, and then looks again', () => {
    const text = Array.from({ length: 60 }, (_, index) => index);
    const lookup = new PromptLookup([...text, ...text.slice(5, 50)]);
    expect([lookup.promised, lookup.matchLength]).toEqual([50, 45]);
    lookup.push(20);
    expect([lookup.promised, lookup.matchLength]).toEqual([21, 1]);
  });

  it('finds a continuation whenever a naive search of the last places does, and it truly followed there', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }), (tokens) => {
        const lookup = new PromptLookup(tokens.slice(0, 10));
        for (const token of tokens.slice(10)) lookup.push(token);
        const [next] = lookup.draft(1);
        const endsOf = (length: number) =>
          tokens
            .map((_, index) => index)
            .filter((index) => index >= length && tokens.slice(index - length, index).join() === tokens.slice(-length).join());
        const ends = [3, 2, 1].map(endsOf).find(({ length }) => length > 0) ?? [];
        if (next === undefined) expect(ends).toEqual([]);
        else expect(ends.map((end) => tokens[end])).toContain(next);
      }),
    );
  });
});
