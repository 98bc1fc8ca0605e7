import { GgmlType } from '../../src/ggml/types.ts';
import { writeContent, type ConvertedModel } from '../../src/models/converted-model.ts';

export const fileName = 'small-v1.gguf';

/** A conversion of four tensors, 1 MiB in all; `onTensor` is called before each is made. */
export function smallConversion(folder: string, onTensor: (index: number) => void = () => {}): ConvertedModel {
  const count = 1 << 16;
  return {
    folder,
    fileName,
    bytesNeeded: 1 << 20,
    write: writeContent(async () => ({
      metadata: new Map([['general.architecture', { type: 'string', value: 'llama' }]]),
      tensors: Array.from({ length: 4 }, (_, index) => ({
        name: `tensor.${index}`,
        type: GgmlType.F32,
        shape: [256, 256],
        read: () => {
          onTensor(index);
          return new Float32Array(count).fill(index + 0.5);
        },
      })),
    })),
  };
}

// As a program, for tests of what only a process can do: die, meet its limits, race with another. Says what came of it.
if (process.argv[1] === import.meta.filename) {
  const { ensureConverted } = await import('../../src/models/converted-model.ts');
  const [folder = '', mode] = process.argv.slice(2);
  const dieInTheMiddle = (index: number) => index === 2 && process.kill(process.pid, 'SIGKILL');
  const conversion = smallConversion(folder, mode === 'die' ? dieInTheMiddle : undefined);
  console.log(await ensureConverted(conversion).catch((error: unknown) => String(error)));
}
