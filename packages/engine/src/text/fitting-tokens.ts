import type { PromptSegment } from '@open-autoglm/protocol';

/**
 * Yields what is to be tokenized next, is given its tokens, and returns what comes of them: so that the same can be done at once or by
 * another thread.
 */
export type Reading<T> = Generator<PromptSegment, T, readonly number[]>;

/** No token stands for more text than this. */
export const longestToken = 256;
/** Of the tokens that would fit: most prompts that fit are shorter, and read at one go. */
const charactersPerToken = 4;
/** A cut changes tokens near it only: a beginning with this share more tokens than fit leaves no doubt about the whole. */
const doubt = 1 / 4;

/**
 * The tokens of a prompt, or nothing where there are more than `tokensMax`, found without reading all of it: a million characters or two
 * take a second.
 *
 * A long text cannot be tokenized in pieces: merges may reach across any place where it could be cut. So its beginning is counted
 * first, and a longer one, by its tokens so far, until it has too many for certain; what may still fit is then tokenized as a whole.
 * However long the prompt is, what is read of it grows only with the characters of its tokens.
 */
export function* fittingTokens(segments: readonly PromptSegment[], tokensMax: number): Reading<number[] | undefined> {
  const tokens: number[] = [];
  for (const segment of segments) {
    for (const token of yield* enoughTokens(segment, tokensMax - tokens.length, tokensMax)) tokens.push(token);
    if (tokens.length > tokensMax) return undefined;
  }
  return tokens;
}

/** The tokens of a text, or those of a beginning that leave no doubt that the whole has more than `tokensLeft`. */
export function* enoughTokens({ kind, text }: PromptSegment, tokensLeft: number, tokensMax = tokensLeft): Reading<readonly number[]> {
  const wanted = tokensLeft + Math.ceil(doubt * tokensMax);
  for (let length = charactersPerToken * tokensMax; length < text.length;) {
    const found = yield { kind, text: text.slice(0, length) };
    if (found.length > wanted) return found;
    // As long as it should be to have too many, and a little more; not much longer, for a beginning may be unlike the rest.
    length = Math.ceil(length * Math.min(4, Math.max(1.25, (1.1 * wanted) / Math.max(found.length, 1))));
  }
  return yield { kind, text };
}
