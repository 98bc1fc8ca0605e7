import type { Reading, Word } from '../reading/reading.ts';
import type { Rule } from './rule.ts';
import { amountOf } from './numbers.ts';

/**
 * Words that both have stand in the same order: A better than B is not B better than A, and from here to there is not from
 * there to here. Only what "and", "or" and their like join may change places.
 */
export const wordOrderAgrees: Rule = (a, b) => {
  const [left, right] = [orderOf(a), orderOf(b)];
  const common = countsOf(left, countsOf(right));
  const [first, second] = [keepCommon(left, common), keepCommon(right, common)];
  return first.every((base, index) => base === second[index]) ? undefined : 'order of words';
};

/** What matters, in order; equals that are joined stand in the alphabet's. */
function orderOf({ words }: Reading): string[] {
  const kept = words.filter(({ kind }) => kind !== 'function' && kind !== 'negation');
  const order: string[] = [];
  for (let index = 0; index < kept.length; index += 1) {
    const word = kept[index] as Word;
    if (word.kind === 'joint') continue;
    const group = [keyOf(word)];
    while (kept[index + 1]?.kind === 'joint' && kept[index + 2] && kept[index + 2]?.kind !== 'joint') {
      group.push(keyOf(kept[index + 2] as Word));
      index += 2;
    }
    order.push(...group.toSorted());
  }
  return order;
}

function keyOf(word: Word): string {
  return word.kind === 'number' ? amountOf(word) : word.base;
}

function countsOf(words: readonly string[], within: ReadonlyMap<string, number> | undefined = undefined): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) {
    const next = (counts.get(word) ?? 0) + 1;
    if (!within || next <= (within.get(word) ?? 0)) counts.set(word, next);
  }
  return counts;
}

function keepCommon(words: readonly string[], common: ReadonlyMap<string, number>): string[] {
  const left = new Map(common);
  return words.filter((word) => {
    const rest = left.get(word) ?? 0;
    if (rest > 0) left.set(word, rest - 1);
    return rest > 0;
  });
}
