import { readHyperparameters, type Hyperparameters } from '../architectures/hyperparameters.ts';
import { bert } from '../encoder/bert.ts';
import type { GgufHeader } from './gguf-header.ts';

/** What a model takes of the memory, in bytes; without the step's activations, some tens of MB. */
export interface MemoryNeed {
  readonly weights: number;
  /** Keys and values of one sequence that fills the context, in f16. */
  readonly kv: number;
  /** Tokens that they are counted for: those asked for, or as many as the model was trained for. */
  readonly contextLength: number;
}

/** Throws `engine_failed` when the file lacks a hyperparameter. */
export function memoryNeed(header: GgufHeader, contextLength: number): MemoryNeed {
  const architecture = header.string('general.architecture') ?? 'unnamed';
  const start = Math.min(header.size, ...header.tensors.map(({ offset }) => offset));
  const weights = header.size - start;
  // An encoder keeps nothing of a text that it has read.
  if (architecture === bert.name) return { weights, kv: 0, contextLength: Math.min(contextLength, header.number('bert.context_length') ?? contextLength) };
  const sizes = readHyperparameters(header, architecture);
  const length = Math.min(contextLength, sizes.trainedContext);
  return { weights, kv: length * kvBytesPerToken(sizes), contextLength: length };
}

/** Keys and values of a token in all layers, in f16. */
function kvBytesPerToken({ layerCount, kvHeadCount, headLength }: Hyperparameters): number {
  const elementBytes = 2;
  return layerCount * 2 * kvHeadCount * headLength * elementBytes;
}
