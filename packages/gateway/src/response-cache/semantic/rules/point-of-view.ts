import type { Rule } from './rule.ts';

/** Whom it is about, whether it is over, and whether it may, must or would be. */
export const pointsOfViewAgree: Rule = (a, b) => {
  if (a.isPast !== b.isPast) return 'tense';
  if (a.modality !== b.modality) return 'modality';
  return a.persons.size === b.persons.size && [...a.persons].every((person) => b.persons.has(person)) ? undefined : 'person';
};
