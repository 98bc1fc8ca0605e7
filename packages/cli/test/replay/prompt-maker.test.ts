import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromptMaker, type PromptOptions } from '../../src/replay/prompts/prompt-maker.ts';
import { words } from '../../src/replay/prompts/words.ts';

const makerOf = (options: Partial<PromptOptions> & { readonly tokensPerWord?: number } = {}) =>
  new PromptMaker({
    calibration: { tokensPerWord: options.tokensPerWord ?? 1, overheadTokens: 0, isMeasured: true },
    seed: 1,
    scale: 1,
    tokensPerCharacter: 0.25,
    ...options,
  });
const wordsOf = (text: string) => text.trim().split(' ');
const sharedWords = (a: string, b: string) => {
  const [first, second] = [wordsOf(a), wordsOf(b)];
  const end = first.findIndex((word, index) => word !== second[index]);
  return end === -1 ? Math.min(first.length, second.length) : end;
};
const blocks = (names: readonly number[], tokens: number) => ({ kind: 'blocks', tokens, blockTokens: 16, blocks: names }) as const;

describe('prompts', () => {
  it('are made of 128 different words', () => {
    expect(new Set(words).size).toBe(128);
  });

  it('have the tokens that are wanted, by the calibration', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 0.5, max: 5, noNaN: true }),
        fc.nat(30),
        (tokens, tokensPerWord, overhead) => {
          const count = wordsOf(makerOf({ tokensPerWord }).make({ kind: 'length', tokens }, 3, overhead)).length;
          expect(Math.abs(count - Math.max(1, (tokens - overhead) / tokensPerWord))).toBeLessThanOrEqual(0.5);
        },
      ),
    );
  });

  it('begin alike exactly as far as their blocks do', () => {
    fc.assert(
      fc.property(
        fc.nat(8),
        fc.nat(8),
        fc.nat(8),
        fc.nat(15),
        fc.double({ min: 0.5, max: 3, noNaN: true }),
        (shared, restA, restB, last, tokensPerWord) => {
          const common = Array.from({ length: shared }, (_, index) => index);
          const a = [...common, ...Array.from({ length: restA }, (_, index) => 100 + index)];
          const b = [...common, ...Array.from({ length: restB }, (_, index) => 200 + index)];
          const maker = makerOf({ tokensPerWord });
          const texts = [a, b].map((names, index) => maker.make(blocks(names, names.length * 16 + last + 1), index, 0));
          const sharedTokens = sharedWords(texts[0] as string, texts[1] as string) * tokensPerWord;
          expect(sharedTokens).toBeGreaterThanOrEqual(shared * 16 - tokensPerWord);
          // By chance a word more: one of 128.
          expect(sharedTokens).toBeLessThanOrEqual(shared * 16 + 4 * tokensPerWord);
        },
      ),
    );
  });

  it('share a block that one of them cuts short', () => {
    const maker = makerOf();
    const long = maker.make(blocks([1, 2], 32), 0, 0);
    expect(sharedWords(makerOf().make(blocks([1, 2], 20), 1, 0), long)).toBe(20);
    expect(sharedWords(maker.make(blocks([1, 2], 20), 1, 0), long)).toBe(20);
  });

  it('are the same for a seed, and different for another request or seed', () => {
    const prompt = { kind: 'length', tokens: 100 } as const;
    expect(makerOf().make(prompt, 1, 0)).toBe(makerOf().make(prompt, 1, 0));
    expect(sharedWords(makerOf().make(prompt, 1, 0), makerOf().make(prompt, 2, 0))).toBeLessThan(3);
    expect(sharedWords(makerOf().make(prompt, 1, 0), makerOf({ seed: 2 }).make(prompt, 1, 0))).toBeLessThan(3);
  });

  it('are scaled with their prefixes, then cut', () => {
    const maker = makerOf({ scale: 0.5, tokensMax: 40 });
    expect(wordsOf(maker.make(blocks([1, 2], 48), 0, 0))).toHaveLength(24);
    expect(sharedWords(maker.make(blocks([1, 2], 48), 0, 0), maker.make(blocks([1, 3], 48), 1, 0))).toBe(8);
    expect(wordsOf(maker.make({ kind: 'length', tokens: 1000 }, 0, 0))).toHaveLength(40);
    expect(maker.tokensOf({ kind: 'length', tokens: 0 })).toBe(1);
  });

  it('measured in characters take the tokens that were counted, or the usual share', () => {
    const prompt = { kind: 'character-blocks', characters: 400, blockCharacters: 100, blocks: ['a', 'b'] } as const;
    expect(makerOf().tokensOf(prompt)).toBe(100);
    expect(makerOf().tokensOf({ ...prompt, tokens: 80 })).toBe(80);
    expect(
      sharedWords(makerOf().make({ ...prompt, tokens: 80 }, 0, 0), makerOf().make({ ...prompt, tokens: 80, blocks: ['a', 'c'] }, 1, 0)),
    ).toBe(20);
  });
});
