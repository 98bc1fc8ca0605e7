import type { PromptSegment } from '@open-autoglm/protocol';

export type TokenizeSegment = (segment: PromptSegment) => number[];

/** Of the tokens that would fit: most prompts that fit are shorter, and read at one go. */
const charactersPerToken = 4;
/** A cut changes tokens near it only; a beginning with this many times the tokens that fit leaves no doubt about the whole. */
const certainty = 2;

/**
 * The tokens of a prompt, or nothing where there are more than `tokensMax`, found without reading all of it: tokenizing happens between
 * steps, and every running stream stands still meanwhile, for a second for each million characters or two.
 *
 * A long text cannot be tokenized in pieces: merges may reach across any place where it could be cut. So its beginning is counted first, and
 * one twice as long until it has too many tokens for certain; what may still fit is then tokenized as a whole. Where no token stands for more
 * than c characters of the text, at most 8 · c · `tokensMax` characters are read, however long the prompt is: 4 · `tokensMax` of Chinese,
 * 12 · `tokensMax` of English.
 */
export function fittingTokens(segments: readonly PromptSegment[], tokensMax: number, tokenize: TokenizeSegment): number[] | undefined {
  const tokens: number[] = [];
  for (const segment of segments) {
    if (isTooLong(segment, tokensMax - tokens.length, tokensMax, tokenize)) return undefined;
    for (const token of tokenize(segment)) tokens.push(token);
    if (tokens.length > tokensMax) return undefined;
  }
  return tokens;
}

function isTooLong(segment: PromptSegment, tokensLeft: number, tokensMax: number, tokenize: TokenizeSegment): boolean {
  const { text } = segment;
  for (let length = charactersPerToken * tokensMax; length < text.length; length *= 2) {
    if (tokenize({ ...segment, text: text.slice(0, length) }).length > tokensLeft + (certainty - 1) * tokensMax) return true;
  }
  return false;
}
