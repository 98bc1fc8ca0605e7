import { AutoglmError } from '@open-autoglm/protocol';
import type { Gguf } from '../ggml/gguf.ts';

/** How the states of a text's tokens become one vector. */
export type Pooling = 'mean' | 'cls' | 'last';

/** An encoder's sizes. Lengths in elements unless named otherwise. */
export interface EncoderSizes {
  readonly layerCount: number;
  readonly embeddingLength: number;
  readonly headCount: number;
  readonly headLength: number;
  readonly feedForwardLength: number;
  /** Positions that were learned: no text has more tokens. */
  readonly trainedContext: number;
  readonly normEpsilon: number;
  readonly pooling: Pooling;
}

/** llama.cpp's `enum llama_pooling_type`, as far as it makes one vector of a text. */
const poolings: Readonly<Record<number, Pooling>> = { 1: 'mean', 2: 'cls', 3: 'last' };

/** The keys of llama.cpp's `bert`. Throws `engine_failed` naming the key that is missing or not understood. */
export function readEncoderSizes(gguf: Pick<Gguf, 'path' | 'number' | 'boolean'>): EncoderSizes {
  const required = (key: string) => gguf.number(`bert.${key}`) ?? refuse(gguf, `lacks the GGUF key bert.${key}: the file is incomplete`);
  const embeddingLength = required('embedding_length');
  const headCount = required('attention.head_count');
  if (!(headCount > 0 && embeddingLength % headCount === 0))
    refuse(gguf, `has ${headCount} attention heads for ${embeddingLength} dimensions, which do not divide`);
  if (gguf.boolean('bert.attention.causal')) refuse(gguf, 'wants causal attention (bert.attention.causal), which an encoder has not');
  const normEpsilon = required('attention.layer_norm_epsilon');
  if (!(normEpsilon > 0 && Number.isFinite(normEpsilon)))
    refuse(gguf, `has the GGUF key bert.attention.layer_norm_epsilon as ${normEpsilon}, and not as a number above 0`);
  const kind = gguf.number('bert.pooling_type');
  const pooling =
    poolings[kind ?? 1] ??
    refuse(gguf, `has the pooling type ${kind} (bert.pooling_type), which makes no embeddings; known are 1 mean, 2 CLS, 3 last`);
  return {
    layerCount: required('block_count'),
    embeddingLength,
    headCount,
    headLength: embeddingLength / headCount,
    feedForwardLength: required('feed_forward_length'),
    trainedContext: required('context_length'),
    normEpsilon,
    pooling,
  };
}

function refuse({ path }: Pick<Gguf, 'path'>, reason: string): never {
  throw new AutoglmError('engine_failed', `${path} ${reason}. Give another with embeddings.model.`);
}
