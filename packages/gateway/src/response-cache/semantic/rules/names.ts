import type { Reading } from '../reading/reading.ts';
import type { Rule } from './rule.ts';

/** What one question calls by a name the other must mention, too: in capitals or not, for many write without. */
export const namesAgree: Rule = (a, b) => (misses(a, b) || misses(b, a) ? 'names' : undefined);

function misses(named: Reading, other: Reading): boolean {
  const mentioned = new Set(other.words.map(({ base }) => base));
  const written = other.words.map(({ text }) => text.toLowerCase()).join('');
  return named.words.some(({ isName, base, text }) => isName && !mentioned.has(base) && !written.includes(text.toLowerCase()));
}
