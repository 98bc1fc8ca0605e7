import type { Rule } from './rule.ts';

/** Brackets, signs and other punctuation that means something must be the same, in the same order: 2*(3+4) is not 2*3+4. */
export const marksAgree: Rule = (a, b) => (a.marks.join('\n') === b.marks.join('\n') ? undefined : 'marks');
