import { hash } from 'node:crypto';
import type { RecordedAnswer } from '../formats/recorded.ts';

/** Texts are compared without white space at either end, but for the hash, which is over the text as it came. */
export function isRightAnswer(text: string, { equals, contains, sha256 }: RecordedAnswer): boolean {
  const trimmed = text.trim();
  if (equals !== undefined && trimmed !== equals.trim()) return false;
  if (contains !== undefined && !trimmed.includes(contains.trim())) return false;
  return sha256 === undefined || hash('sha256', text, 'hex') === sha256.toLowerCase();
}
