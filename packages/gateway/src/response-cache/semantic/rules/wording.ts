import { articles } from '../reading/english-words.ts';
import type { Reading, Word } from '../reading/reading.ts';

/**
 * How much of what two questions say is the same, beside what all rules have agreed on. Each is judged apart by what checks
 * have shown: the fewer words differ, the more can be trusted.
 *
 * - `same-text`: nothing but capitals, punctuation, articles and politeness differs, or "how can I" stands for "how do I".
 * - `same-words`: words that only say how it is asked differ, endings, or synonyms.
 * - `one-word`, `few-words`, `other-words`: so much of what it is about is said by other words.
 */
export type Wording = 'same-text' | 'same-words' | 'one-word' | 'few-words' | 'other-words';

export const wordings: readonly Wording[] = ['same-text', 'same-words', 'one-word', 'few-words', 'other-words'];

/** Symmetric and pure. */
export function compareWording(a: Reading, b: Reading): Wording {
  if (textOf(a) === textOf(b)) return 'same-text';
  const [left, right] = [contentOf(a), contentOf(b)];
  // Chinese is cut into words by guessing; the characters are certain.
  if (left.toSorted().join('') === right.toSorted().join('')) return 'same-words';
  const [onlyLeft, onlyRight] = [without(left, right).length, without(right, left).length];
  const differing = Math.max(onlyLeft, onlyRight);
  if (differing === 1) return 'one-word';
  return differing <= 3 && differing / Math.max(left.length, right.length) < 0.4 ? 'few-words' : 'other-words';
}

function textOf({ words }: Reading): string {
  const kept = words.filter(({ base }) => !articles.has(base));
  return kept.map((word, index) => (asksForAWay(kept, index) ? 'do' : asWritten(word))).join(' ');
}

/** The can of "how can I": it asks for the way, as do does. "How can a car fly" asks whether, too. */
function asksForAWay(words: readonly Word[], index: number): boolean {
  return words[index]?.base === 'can' && words[index - 1]?.base === 'how' && /^(?:i|you|we|one)$/.test(words[index + 1]?.base ?? '');
}

function asWritten({ text, base }: Word): string {
  // which and what ask the same.
  return base === 'which' ? 'what' : text.toLowerCase();
}

function contentOf({ words }: Reading): string[] {
  return words.filter(({ kind }) => kind === 'content').map(({ base }) => base);
}

function without(words: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return words.filter((word) => {
    const index = left.indexOf(word);
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
}
