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
    top_logprobs: tokens.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset: tokens.map(({ token }) => {
      const start = end;
      end += token.length;
      return start;
    }),
  };
}
