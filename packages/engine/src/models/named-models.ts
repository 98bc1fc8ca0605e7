import path from 'node:path';
import { ensureConverted, isWhole, writeContent } from './converted-model.ts';
import { waitForLock } from './lock.ts';
import { minimindGguf } from './minimind.ts';
import { fetchPackages } from './npm-packages.ts';
import { tinyllamaBytes, tinyllamaParts, writeTinyllama } from './tinyllama.ts';
import type { PrepareOptions, Quantization } from './prepare-options.ts';
import { quantizedTo } from './quantization.ts';
import { locateInstalledPackage, readWeightsPackage, weightsPackage } from './weights-package.ts';

/** A model that goes by a name: where its weights come from, and the file that is made of them once. */
export interface NamedModel {
  readonly name: string;
  readonly otherNames: readonly string[];
  /** As clients may call it, and as people know it. */
  readonly source: string;
  /** Where its file stands in `home`. The name holds the converter's version: raised when a conversion would give other bytes, so that the old file is no longer found. */
  fileName(quantization?: Quantization): string;
  /** Makes the file in `home` where it is not there or damaged. Returns its path; what it was not made for, `quantization` asks of the caller. Throws `engine_failed`. */
  prepare(options: PrepareOptions): Promise<string>;
}

const minimind: NamedModel = {
  name: 'default',
  otherNames: [weightsPackage.name],
  source: 'minimind2-small',
  fileName: (quantization = 'int8') => `minimind2-small-${quantizedTo[quantization]}-v1.gguf`,
  prepare({ home, quantization = 'int8', onProgress, signal, locatePackage = locateInstalledPackage }) {
    const phase = 'Preparing the default model';
    return ensureConverted({
      folder: home,
      fileName: minimind.fileName(quantization),
      bytesNeeded: quantization === 'none' ? 53_000_000 : 28_000_000,
      write: writeContent(async () => {
        onProgress?.({ phase, fraction: 0 });
        return minimindGguf(await readWeightsPackage(locatePackage), quantizedTo[quantization]);
      }),
      onProgress: (fraction) => onProgress?.({ phase, fraction }),
      signal,
    });
  },
};

const tinyllama: NamedModel = {
  name: 'tinyllama',
  otherNames: tinyllamaParts.map(({ name }) => name),
  source: 'tinyllama-1.1b-chat',
  fileName: () => 'tinyllama-1.1b-chat-iq2_xxs-v1.gguf',
  async prepare({ home, onProgress, signal, fetchPackages: fetch = fetchPackages }) {
    const file = path.join(home, tinyllama.fileName());
    if (await isWhole(file)) return file;
    const phase = 'Fetching TinyLlama 1.1B from npm';
    const report = (fraction: number) => onProgress?.({ phase, fraction });
    report(0);
    const release = await waitForLock(`${file}.lock`, { signal, onWait: (owner) => onProgress?.({ phase: `Waiting for process ${owner}, which is fetching TinyLlama`, fraction: 0 }) });
    try {
      const write = writeTinyllama(fetch, { home, onProgress: report, signal });
      return await ensureConverted({ folder: home, fileName: tinyllama.fileName(), bytesNeeded: tinyllamaBytes, write, signal });
    } finally {
      await release();
    }
  },
};

export const namedModels: readonly NamedModel[] = [minimind, tinyllama];

export function findNamedModel(name: string): NamedModel | undefined {
  return namedModels.find((model) => model.name === name || model.otherNames.includes(name));
}
