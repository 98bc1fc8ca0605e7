import { readHyperparameters, type Hyperparameters } from '../architectures/hyperparameters.ts';
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
  const sizes = readHyperparameters(header, header.string('general.architecture') ?? 'unnamed');
  const length = Math.min(contextLength, sizes.trainedContext);
  const start = Math.min(header.size, ...header.tensors.map(({ offset }) => offset));
  return { weights: header.size - start, kv: length * kvBytesPerToken(sizes), contextLength: length };
}

/** Keys and values of a token in all layers, in f16. */
function kvBytesPerToken({ layerCount, kvHeadCount, headLength }: Hyperparameters): number {
  const elementBytes = 2;
  return layerCount * 2 * kvHeadCount * headLength * elementBytes;
}
