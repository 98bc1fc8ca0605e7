import type { AlternativeToken, TokenLogprob } from '@open-autoglm/protocol';

interface WireToken {
  readonly token: string;
  readonly logprob: number;
  readonly bytes?: readonly number[] | null;
  readonly top_logprobs?: readonly WireToken[] | null;
}

/** Of chat and of text completions; servers leave out what they do not have. */
export interface WireLogprobs {
  readonly content?: readonly WireToken[] | null;
  readonly tokens?: readonly string[] | null;
  readonly token_logprobs?: readonly (number | null)[] | null;
  readonly top_logprobs?: readonly (Readonly<Record<string, number>> | null)[] | null;
}

export function readLogprobs(logprobs: WireLogprobs | null | undefined): TokenLogprob[] | undefined {
  if (logprobs?.content)
    return logprobs.content.map((token) => ({ ...alternative(token), top: (token.top_logprobs ?? []).map(alternative) }));
  if (!logprobs?.tokens) return undefined;
  return logprobs.tokens.map((token, index) => ({
    ...alternative({ token, logprob: logprobs.token_logprobs?.[index] ?? 0 }),
    top: Object.entries(logprobs.top_logprobs?.[index] ?? {}).map(([other, logprob]) => alternative({ token: other, logprob })),
  }));
}

function alternative({ token, logprob, bytes }: WireToken): AlternativeToken {
  return { token, logprob, bytes: bytes ?? [...Buffer.from(token)] };
}
