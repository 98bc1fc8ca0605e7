import type { Reading } from '../reading/reading.ts';
import type { Rule } from './rule.ts';

/** As many negations, and each of the same thing: "cannot here but can there" is not "can here but not there". */
export const negationsAgree: Rule = (a, b) => {
  const [left, right] = [negated(a), negated(b)];
  return left.length === right.length && left.every((word, index) => word === right[index]) ? undefined : 'negations';
};

/** What each negation stands before: the next word that means something. */
function negated({ words }: Reading): string[] {
  return words
    .flatMap((word, index) => {
      if (word.kind !== 'negation') return [];
      const next = words.slice(index + 1).find(({ kind }) => kind === 'content' || kind === 'number');
      return [`${likeOf(word.base)} ${next?.base ?? ''}`];
    })
    .toSorted();
}

/** not, no and never deny; without, except and unless leave something out. */
function likeOf(base: string): string {
  return /^(?:without|except|unless|nor|neither|avoid|stop|prevent|lack|lacks|lacking)$/.test(base) ? base : 'not';
}
