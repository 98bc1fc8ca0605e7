import type { Rule } from './rule.ts';

/** What stands in quotation marks or is code must be the same, letter by letter but for capitals of quoted words. */
export const quotesAgree: Rule = (a, b) => {
  const [left, right] = [a, b].map(({ quoted }) => quoted.map((text) => text.toLowerCase()).toSorted()) as [string[], string[]];
  return left.length === right.length && left.every((text, index) => text === right[index]) ? undefined : 'quoted text';
};
