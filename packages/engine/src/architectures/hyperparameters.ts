import { AutoglmError } from '@open-autoglm/protocol';
import type { Gguf } from '../ggml/gguf.ts';
import { shown } from '../models/shown.ts';

/** A transformer's sizes. Lengths in elements unless named otherwise. */
export interface Hyperparameters {
  readonly layerCount: number;
  readonly embeddingLength: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headLength: number;
  readonly feedForwardLength: number;
  readonly trainedContext: number;
  readonly normEpsilon: number;
  readonly ropeDimensions: number;
  readonly ropeBase: number;
  readonly ropeScale: number;
}

type GgufKeys = Pick<Gguf, 'path' | 'number' | 'string'>;

/** Reads `<architecture>.*` keys; throws `engine_failed` naming the key that is missing. */
export function readHyperparameters(gguf: GgufKeys, architecture: string): Hyperparameters {
  const optional = (key: string) => gguf.number(`${architecture}.${key}`);
  const required = (key: string) => optional(key) ?? missingKey(gguf, `${architecture}.${key}`);
  const embeddingLength = required('embedding_length');
  const headCount = required('attention.head_count');
  const headLength = optional('attention.key_length') ?? embeddingLength / headCount;
  return {
    layerCount: required('block_count'),
    embeddingLength,
    headCount,
    kvHeadCount: optional('attention.head_count_kv') ?? headCount,
    headLength,
    feedForwardLength: required('feed_forward_length'),
    trainedContext: required('context_length'),
    normEpsilon: required('attention.layer_norm_rms_epsilon'),
    ropeDimensions: optional('rope.dimension_count') ?? headLength,
    ropeBase: optional('rope.freq_base') ?? 10_000,
    ropeScale: ropeScale(gguf, architecture),
  };
}

function ropeScale(gguf: GgufKeys, architecture: string): number {
  const kind = gguf.string(`${architecture}.rope.scaling.type`) ?? 'none';
  if (kind === 'none') return 1;
  if (kind === 'linear') return 1 / (gguf.number(`${architecture}.rope.scaling.factor`) ?? 1);
  throw new AutoglmError('engine_failed', `${gguf.path} uses RoPE scaling "${shown(kind)}", which this engine does not implement; it knows "none" and "linear".`);
}

function missingKey(gguf: GgufKeys, key: string): never {
  throw new AutoglmError('engine_failed', `${gguf.path} lacks the GGUF key ${key}: the file is incomplete.`);
}
