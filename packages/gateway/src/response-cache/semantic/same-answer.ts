import type { StreamPart } from '@open-autoglm/protocol';
import { readQuestion } from './reading/read.ts';
import { negationsAgree } from './rules/negations.ts';
import { numbersAgree } from './rules/numbers.ts';

/** Of each answer, so much is looked at. */
const charactersMax = 2000;

/** What an answer says, choice by choice; undefined: it says more than text, which only its like can equal. */
export function answerTexts(parts: readonly StreamPart[]): readonly string[] | undefined {
  const texts: string[] = [];
  for (const part of parts) {
    if (part.type === 'wire-delta') return undefined;
    if (part.type === 'text-delta') texts[part.index] = (texts[part.index] ?? '') + part.text;
  }
  return texts;
}

/** `same` and `other` for certain; else two texts whose embeddings decide. */
export type Comparison = 'same' | 'other' | { readonly a: string; readonly b: string };

/**
 * The rule by which a check calls an answer right: the texts are equal but for capitals, spaces and punctuation; or, where each has
 * one, the numbers and the negations agree and the embeddings are as near as the configuration asks.
 */
export function compareAnswers(left: readonly StreamPart[], right: readonly StreamPart[]): Comparison {
  const [first, second] = [answerTexts(left), answerTexts(right)];
  if (!first || !second) return JSON.stringify(left) === JSON.stringify(right) ? 'same' : 'other';
  if (first.length === second.length && first.every((text, index) => normalised(text) === normalised(second[index] ?? ''))) return 'same';
  const [a = '', b = ''] = [first[0]?.slice(0, charactersMax), second[0]?.slice(0, charactersMax)];
  if (first.length !== 1 || second.length !== 1 || a.trim() === '' || b.trim() === '') return 'other';
  const [readA, readB] = [readQuestion(a), readQuestion(b)];
  return numbersAgree(readA, readB) !== undefined || negationsAgree(readA, readB) !== undefined ? 'other' : { a, b };
}

function normalised(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{P}]+/gu, ' ')
    .trim();
}
