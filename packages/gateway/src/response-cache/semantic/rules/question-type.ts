import type { Rule } from './rule.ts';

/** Both ask the same: what, why, when, whether. A question is no answer to a statement, and one that also asks why needs that, too. */
export const questionTypesAgree: Rule = (a, b) => {
  const [left, right] = [[...new Set(a.questionTypes)].toSorted(), [...new Set(b.questionTypes)].toSorted()];
  return left.length === right.length && left.every((type, index) => type === right[index]) ? undefined : 'type of question';
};
