import type { Reading } from '../reading/reading.ts';
import { marksAgree } from './marks.ts';
import { namesAgree } from './names.ts';
import { negationsAgree } from './negations.ts';
import { numbersAgree } from './numbers.ts';
import { pointsOfViewAgree } from './point-of-view.ts';
import { questionTypesAgree } from './question-type.ts';
import { quotesAgree } from './quotes.ts';
import type { Rule } from './rule.ts';
import { questionsAreSelfContained } from './self-contained.ts';
import { wordOrderAgrees } from './word-order.ts';

/** One file each; the cheapest and the most decisive first. */
const rules: readonly Rule[] = [
  numbersAgree,
  negationsAgree,
  quotesAgree,
  questionsAreSelfContained,
  questionTypesAgree,
  pointsOfViewAgree,
  namesAgree,
  marksAgree,
  wordOrderAgrees,
];

/** Why two questions that look alike must not share an answer; undefined: every rule agrees. */
export function findDifference(a: Reading, b: Reading): string | undefined {
  for (const rule of rules) {
    const difference = rule(a, b);
    if (difference !== undefined) return difference;
  }
  return undefined;
}
