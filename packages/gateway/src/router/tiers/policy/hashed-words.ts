import { hashText } from '../../hash.ts';
import { lengthMax, wordsOf } from './text-shape.ts';

/** Places that words are hashed to. More would remember single questions; fewer mix what does not belong together. */
export const hashedSize = 2048;

/** Words and pairs of words that a text has, each with its weight: a vector of length 1 over `hashedSize` places, sparse. */
export interface HashedWords {
  readonly places: Int32Array;
  readonly values: Float64Array;
}

/** The subject of a question by its words, without a dictionary (feature hashing, Weinberger et al. 2009). Numbers count as a number. */
export function hashedWords(text: string): HashedWords {
  const words = wordsOf(text.slice(0, lengthMax).replace(/\d[\d,.]*/g, ' n '));
  const counts = new Map<number, number>();
  for (const [index, word] of words.entries()) {
    add(counts, hashText(word));
    if (index > 0) add(counts, hashText(`${words[index - 1]} ${word}`));
  }
  const places = Int32Array.from(counts.keys());
  const values = Float64Array.from(counts.values(), (count) => Math.sign(count) * Math.log1p(Math.abs(count)));
  const length = Math.hypot(...values) || 1;
  return { places, values: values.map((value) => value / length) };
}

/** The sign is hashed too, so that words that meet at a place cancel out as often as they add up. */
function add(counts: Map<number, number>, hash: number): void {
  const place = hash % hashedSize;
  counts.set(place, (counts.get(place) ?? 0) + ((hash >>> 16) & 1 ? 1 : -1));
}
