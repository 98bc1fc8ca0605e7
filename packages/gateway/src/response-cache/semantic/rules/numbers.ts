import type { Reading, Word } from '../reading/reading.ts';
import type { Rule } from './rule.ts';

/** Numbers, amounts, dates and times of day must be the same, with the same units; an order of theirs is judged by `word-order`. */
export const numbersAgree: Rule = (a, b) => {
  const [left, right] = [amounts(a), amounts(b)];
  return left.length === right.length && left.every((amount, index) => amount === right[index]) ? undefined : 'numbers';
};

function amounts({ words }: Reading): string[] {
  return words
    .filter(({ kind }) => kind === 'number')
    .map(amountOf)
    .toSorted();
}

export function amountOf({ base, unit = '' }: Word): string {
  return unit === '' ? base : `${base} ${unit}`;
}
