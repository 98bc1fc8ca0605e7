import type { TokenLogprob } from '@open-autoglm/protocol';
import type { Vocabulary } from '../ggml/vocabulary.ts';
import { scoreToken } from '../sampler/logprobs.ts';

/** A chosen token and the `topCount` likeliest in its place, as answers tell them. `logits`: [vocabularySize]. */
export function describeChoice(vocabulary: Pick<Vocabulary, 'bytes'>, logits: Float32Array, token: number, topCount: number): TokenLogprob {
  const scores = scoreToken(logits, token, topCount);
  return { ...describe(vocabulary, token, scores.logprob), top: scores.top.map(({ id, logprob }) => describe(vocabulary, id, logprob)) };
}

function describe(vocabulary: Pick<Vocabulary, 'bytes'>, id: number, logprob: number) {
  const bytes = vocabulary.bytes(id);
  // JSON has no −∞; OpenAI reports such tokens as −9999.
  return { token: new TextDecoder().decode(bytes), bytes: Array.from(bytes), logprob: Math.max(logprob, -9999) };
}
