import { pointers } from '../reading/english-words.ts';
import type { Reading } from '../reading/reading.ts';
import type { Rule } from './rule.ts';

/** "How does this circuit work" points at what is not in it: such questions share an answer with nothing but themselves. */
export const questionsAreSelfContained: Rule = (a, b) => (pointsElsewhere(a) || pointsElsewhere(b) ? 'points elsewhere' : undefined);

const chinesePointers = /^(?:这|那|这个|那个|这些|那些|这样|那样|此|以下|下面|上面|上述|如下|下图|上图|附件)$/u;
const englishPlaces = /^(?:below|above|attached|following|aforementioned)$/;
const relative =
  /^(?:who|which|what|where|when|how|why|not|i|you|we|he|she|they|it|is|are|was|were|do|does|did|can|could|will|would|should|has|have|had)$/;

function pointsElsewhere({ words }: Reading): boolean {
  return words.some(({ base, text, kind }, index) => {
    if (chinesePointers.test(text) || englishPlaces.test(text.toLowerCase())) return true;
    if (kind !== 'function' || !pointers.has(base)) return false;
    // "the things that you need" points at nothing outside.
    const next = words[index + 1];
    const isRelative =
      base === 'that' &&
      index > 0 &&
      words[index - 1]?.kind === 'content' &&
      (next === undefined || relative.test(next.base) || next.kind === 'content');
    return !isRelative;
  });
}
