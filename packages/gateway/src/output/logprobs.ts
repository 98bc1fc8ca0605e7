import type { TokenLogprob } from '@open-autoglm/protocol';

/** OpenAI's `logprobs` of a chat choice. */
export function chatLogprobs(tokens: readonly TokenLogprob[]): object {
  return { content: tokens.map(({ token, logprob, bytes, top }) => ({ token, logprob, bytes, top_logprobs: top })), refusal: null };
}

/** OpenAI's older `logprobs` of a text completion; offsets in characters of the answer. */
export function completionLogprobs(tokens: readonly TokenLogprob[], offset: number): object {
  let end = offset;
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(topOf),
    text_offset: tokens.map(({ token }) => {
      const start = end;
      end += token.length;
      return start;
    }),
  };
}

/**
 * The likeliest and the one that was taken, which may be one more. Several tokens may have one text, half a character's say: the likeliest
 * of them stands for it.
 */
function topOf(taken: TokenLogprob): Readonly<Record<string, number>> {
  const byText = new Map<string, number>();
  for (const { token, logprob } of [...taken.top, taken]) if (!byText.has(token)) byText.set(token, logprob);
  return Object.fromEntries(byText);
}
