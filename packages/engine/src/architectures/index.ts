import { AutoglmError } from '@open-autoglm/protocol';
import { bert } from '../encoder/bert.ts';
import type { Gguf } from '../ggml/gguf.ts';
import { shown } from '../models/shown.ts';
import type { Architecture } from './architecture.ts';
import { glm4 } from './glm4.ts';
import { llama } from './llama.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

const architectures: readonly Architecture[] = [llama, qwen2, qwen3, glm4];

export const architectureNames: readonly string[] = architectures.map(({ name }) => name);

export function architectureNamed(name: string): Architecture | undefined {
  return architectures.find((candidate) => candidate.name === name);
}

/** The architecture that a file names. Throws `engine_failed` for one that is not known. */
export function architectureOf(gguf: Gguf): Architecture {
  const name = gguf.string('general.architecture');
  const found = architectureNamed(name ?? '');
  if (found) return found;
  if (name === bert.name)
    throw new AutoglmError(
      'engine_failed',
      `${gguf.path} makes embeddings and writes no text: name it under embeddings.model, and another one as the model.`,
    );
  throw new AutoglmError(
    'engine_failed',
    `${gguf.path} is a model of the architecture "${shown(name ?? 'unnamed')}", which this engine does not know. It knows ${architectureNames.join(', ')}: give a model of one of these with --model FILE.gguf.`,
  );
}
