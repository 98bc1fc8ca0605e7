import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromptLookup } from '../../src/speculation/prompt-lookup.ts';

const draftAfter = (tokens: readonly number[], max: number) => [...new PromptLookup(tokens).draft(max).tokens];

describe('PromptLookup', () => {
  it('drafts what followed the last tokens before', () => {
    expect(draftAfter([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 3)).toEqual([4, 5, 6]);
  });

  it('drafts nothing when the last three tokens are new, or nothing is asked for', () => {
    expect(draftAfter([1, 2, 3, 4, 2, 3], 3)).toEqual([]);
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

  it('finds a continuation whenever a naive search of the last places does, and it truly followed there', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }), (tokens) => {
      const lookup = new PromptLookup(tokens.slice(0, 10));
      for (const token of tokens.slice(10)) lookup.push(token);
      const [next] = lookup.draft(1).tokens;
      const last = tokens.slice(-3).join();
      const ends = tokens.map((_, index) => index).filter((index) => index >= 3 && index < tokens.length && tokens.length > 3 && tokens.slice(index - 3, index).join() === last);
      if (next === undefined) expect(ends).toEqual([]);
      else expect(ends.map((end) => tokens[end])).toContain(next);
    }));
  });
});
