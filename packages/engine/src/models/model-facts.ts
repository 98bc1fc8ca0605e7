import { architectureNames } from '../architectures/index.ts';
import { bert } from '../encoder/bert.ts';
import { readGgufHeader, type GgufHeader } from './gguf-header.ts';
import { memoryNeed, type KvWish, type MemoryNeed } from './memory-need.ts';
import { shown } from './shown.ts';

/** What can be said of a model's file without loading it. */
export interface ModelFacts {
  readonly bytes: number;
  /** As it can be shown to people: of a file that is not ours. */
  readonly architecture: string;
  /** Whether the engine knows its architecture. */
  readonly isKnown: boolean;
  /** What most of its weights are, in llama.cpp's words: `Q4_K_M`. */
  readonly weightType: string;
  /** Absent where the file does not say enough. */
  readonly memory: MemoryNeed | undefined;
}

/** llama.cpp's words for `general.file_type`. */
const fileTypes: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  7: 'Q8_0',
  8: 'Q5_0',
  9: 'Q5_1',
  10: 'Q2_K',
  11: 'Q3_K_S',
  12: 'Q3_K_M',
  13: 'Q3_K_L',
  14: 'Q4_K_S',
  15: 'Q4_K_M',
  16: 'Q5_K_S',
  17: 'Q5_K_M',
  18: 'Q6_K',
  19: 'IQ2_XXS',
  20: 'IQ2_XS',
  21: 'Q2_K_S',
  22: 'IQ3_XS',
  23: 'IQ3_XXS',
  24: 'IQ1_S',
  25: 'IQ4_NL',
  26: 'IQ3_S',
  27: 'IQ3_M',
  28: 'IQ2_S',
  29: 'IQ2_M',
  30: 'IQ4_XS',
  31: 'IQ1_M',
  32: 'BF16',
};

/** Throws `engine_failed` when the file has no whole header. */
export async function modelFacts(file: string, kv: KvWish): Promise<ModelFacts> {
  const header = await readGgufHeader(file);
  const architecture = header.string('general.architecture') ?? 'unnamed';
  return {
    bytes: header.size,
    architecture: shown(architecture),
    isKnown: architectureNames.includes(architecture) || architecture === bert.name,
    weightType: fileTypes[header.number('general.file_type') ?? -1] ?? 'unknown',
    memory: needOf(header, kv),
  };
}

function needOf(header: GgufHeader, kv: KvWish): MemoryNeed | undefined {
  try {
    return memoryNeed(header, kv);
  } catch {
    // Families that the engine does not run may lack its keys.
    return undefined;
  }
}
