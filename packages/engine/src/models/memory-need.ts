import { readHyperparameters, type Hyperparameters } from '../architectures/hyperparameters.ts';
import { bert } from '../encoder/bert.ts';
import type { KvType } from '../kv-cache/row-layout.ts';
import type { GgufHeader } from './gguf-header.ts';

/** What a model takes of the memory, in bytes; without the step's activations, some tens of MB. */
export interface MemoryNeed {
  readonly weights: number;
  /** Keys and values of one sequence that fills the context. */
  readonly kv: number;
  /** Tokens that they are counted for: those asked for, or as many as the model was trained for. */
  readonly contextLength: number;
}

/** What the configuration says of the keys and values. */
export interface KvWish {
  readonly contextLength: number;
  readonly kvType: KvType;
}

/** q8_0 keeps 32 elements in 34 bytes. */
const elementBytes: Readonly<Record<KvType, number>> = { f16: 2, q8_0: 34 / 32 };

/** Throws `engine_failed` when the file lacks a hyperparameter. */
export function memoryNeed(header: GgufHeader, { contextLength, kvType }: KvWish): MemoryNeed {
  const architecture = header.string('general.architecture') ?? 'unnamed';
  const start = Math.min(header.size, ...header.tensors.map(({ offset }) => offset));
  const weights = header.size - start;
  // An encoder keeps nothing of a text that it has read.
  if (architecture === bert.name)
    return { weights, kv: 0, contextLength: Math.min(contextLength, header.number('bert.context_length') ?? contextLength) };
  const sizes = readHyperparameters(header, architecture);
  const length = Math.min(contextLength, sizes.trainedContext);
  return { weights, kv: length * kvBytesPerToken(sizes, kvType), contextLength: length };
}

/** Keys and values of a token in all layers. */
function kvBytesPerToken({ layerCount, kvHeadCount, headLength }: Hyperparameters, kvType: KvType): number {
  return layerCount * 2 * kvHeadCount * headLength * elementBytes[kvType];
}
