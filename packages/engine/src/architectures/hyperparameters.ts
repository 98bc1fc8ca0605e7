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

/** What no model has by far. */
const sizeMax = 1 << 24;

/**
 * Reads `<architecture>.*` keys. Throws `engine_failed` naming the key that is missing or makes no sense: ggml would abort the process over
 * sizes that do not go together.
 */
export function readHyperparameters(gguf: GgufKeys, architecture: string): Hyperparameters {
  const found = (key: string) => gguf.number(`${architecture}.${key}`);
  const refuse = (key: string, reason: string): never => {
    throw new AutoglmError(
      'engine_failed',
      `${gguf.path} cannot be used: its GGUF key ${architecture}.${key} is ${reason}. Download it again, or give another with --model FILE.gguf.`,
    );
  };
  const size = (key: string, otherwise: () => number = () => missingKey(gguf, `${architecture}.${key}`)) => {
    const value = found(key) ?? otherwise();
    return Number.isInteger(value) && value > 0 && value <= sizeMax
      ? value
      : refuse(key, `${value}, and not a whole number from 1 to ${sizeMax}`);
  };
  const positive = (key: string, otherwise: () => number = () => missingKey(gguf, `${architecture}.${key}`)) => {
    const value = found(key) ?? otherwise();
    return value > 0 && Number.isFinite(value) ? value : refuse(key, `${value}, and not a number above 0`);
  };
  const embeddingLength = size('embedding_length');
  const headCount = size('attention.head_count');
  const kvHeadCount = size('attention.head_count_kv', () => headCount);
  if (headCount % kvHeadCount !== 0)
    refuse('attention.head_count', `${headCount}, and no multiple of attention.head_count_kv, ${kvHeadCount}`);
  const headLength = size('attention.key_length', () => embeddingLength / headCount);
  const ropeDimensions = size('rope.dimension_count', () => headLength);
  if (ropeDimensions > headLength || ropeDimensions % 2 !== 0)
    refuse('rope.dimension_count', `${ropeDimensions}, and RoPE turns pairs of a head's ${headLength} dimensions`);
  const trainedContext = size('context_length');
  if (trainedContext < 2) refuse('context_length', `${trainedContext}, and a prompt with its answer has at least 2 tokens`);
  return {
    trainedContext,
    layerCount: size('block_count'),
    embeddingLength,
    headCount,
    kvHeadCount,
    headLength,
    feedForwardLength: size('feed_forward_length'),
    normEpsilon: positive('attention.layer_norm_rms_epsilon'),
    ropeDimensions,
    ropeBase: positive('rope.freq_base', () => 10_000),
    ropeScale: isScaled(gguf, architecture) ? 1 / positive('rope.scaling.factor', () => 1) : 1,
  };
}

function isScaled(gguf: GgufKeys, architecture: string): boolean {
  const kind = gguf.string(`${architecture}.rope.scaling.type`) ?? 'none';
  if (kind === 'none' || kind === 'linear') return kind === 'linear';
  throw new AutoglmError(
    'engine_failed',
    `${gguf.path} uses RoPE scaling "${shown(kind)}", which this engine does not implement; it knows "none" and "linear".`,
  );
}

function missingKey(gguf: GgufKeys, key: string): never {
  throw new AutoglmError('engine_failed', `${gguf.path} lacks the GGUF key ${key}: the file is incomplete.`);
}
