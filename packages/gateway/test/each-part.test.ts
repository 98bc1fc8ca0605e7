import type { PartsIterator, StreamPart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { eachPart } from '../src/output/each-part.ts';

const partOf = (text: string): StreamPart => ({ type: 'text-delta', index: 0, text, tokenCount: 1 });

/** Gives these groups; the parts of each are there together, and all but its first need no promise where `isAtOnce`. */
function partsOf(groups: readonly (readonly string[])[], isAtOnce: boolean) {
  const waiting = groups.map((group) => group.map(partOf));
  let isLeft = false;
  let promises = 0;
  const iterator: PartsIterator = {
    async next() {
      promises += 1;
      while (waiting[0]?.length === 0) waiting.shift();
      const value = waiting[0]?.shift();
      return value ? { value, done: false } : { value: undefined, done: true };
    },
    async return() {
      isLeft = true;
      return { value: undefined, done: true };
    },
    ...(isAtOnce && {
      nextNow() {
        const value = waiting[0]?.shift();
        if (value) return { value, done: false };
        return waiting.length <= 1 ? { value: undefined, done: true } : undefined;
      },
    }),
  };
  return { parts: { [Symbol.asyncIterator]: () => iterator }, isLeft: () => isLeft, promises: () => promises };
}

async function textsOf(parts: AsyncIterable<StreamPart>): Promise<string[]> {
  const texts: string[] = [];
  await eachPart(parts, (part) => texts.push((part as { text: string }).text));
  return texts;
}

describe('eachPart', () => {
  const groups = [['a', 'b', 'c'], ['d'], ['e', 'f']];

  it('hands over every part in its order, whether or not those that are here are told at once', async () => {
    for (const isAtOnce of [false, true]) {
      const { parts, isLeft } = partsOf(groups, isAtOnce);
      expect(await textsOf(parts)).toEqual(groups.flat());
      expect(isLeft()).toBe(false);
    }
  });

  it('waits once for what is here together, the end included', async () => {
    const { parts, promises } = partsOf(groups, true);
    await textsOf(parts);
    expect(promises()).toBe(groups.length);
  });

  it('leaves the answer when a part cannot be taken, whichever it is', async () => {
    for (const failing of groups.flat()) {
      const { parts, isLeft } = partsOf(groups, true);
      const refuse = (part: StreamPart) => {
        if ((part as { text: string }).text === failing) throw new Error('refused');
      };
      await expect(eachPart(parts, refuse)).rejects.toThrow('refused');
      expect(isLeft()).toBe(true);
    }
  });
});
