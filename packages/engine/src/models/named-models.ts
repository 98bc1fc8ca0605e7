import path from 'node:path';
import { bgeSmallZhBytes, writeBgeSmallZh } from './bge-small-zh.ts';
import { ensureConverted, isWhole, writeContent, type ConvertedModel } from './converted-model.ts';
import { waitForLock } from './lock.ts';
import { minilmBytes, writeMinilm } from './minilm.ts';
import { minimindGguf } from './minimind.ts';
import { fetchPackages, type FetchOptions, type FetchPackages } from './npm-packages.ts';
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
  /**
   * Where its file stands in `home`. The name holds the converter's version: raised when a conversion would give other bytes, so that the
   * old file is no longer found.
   */
  fileName(quantization?: Quantization): string;
  /**
   * Makes the file in `home` where it is not there or damaged. Returns its path; what it was not made for, `quantization` asks of the
   * caller. Throws `engine_failed`.
   */
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
  prepare(options) {
    return prepareFetched(tinyllama, 'TinyLlama 1.1B', tinyllamaBytes, writeTinyllama, options);
  },
};

/** Makes embeddings (`embeddings.model`), and writes no text. */
const bgeSmallZh: NamedModel = {
  name: 'bge-small-zh',
  otherNames: ['bge-small-zh-v1.5'],
  source: 'bge-small-zh-v1.5',
  fileName: () => 'bge-small-zh-v1.5-q8_0-v1.gguf',
  prepare(options) {
    return prepareFetched(bgeSmallZh, 'bge-small-zh', bgeSmallZhBytes, writeBgeSmallZh, options);
  },
};

/** Makes embeddings of English texts. */
const minilm: NamedModel = {
  name: 'minilm',
  otherNames: ['all-minilm-l6-v2'],
  source: 'all-MiniLM-L6-v2',
  fileName: () => 'all-minilm-l6-v2-q8_0-v1.gguf',
  prepare(options) {
    return prepareFetched(minilm, 'MiniLM', minilmBytes, writeMinilm, options);
  },
};

type WriteFetched = (fetch: FetchPackages, options: FetchOptions) => ConvertedModel['write'];

/** Of several processes that want the same packages, one fetches them. */
async function prepareFetched(
  model: NamedModel,
  title: string,
  bytesNeeded: number,
  write: WriteFetched,
  options: PrepareOptions,
): Promise<string> {
  const { home, onProgress, signal, fetchPackages: fetch = fetchPackages } = options;
  const fileName = model.fileName();
  const file = path.join(home, fileName);
  if (await isWhole(file)) return file;
  const report = (fraction: number) => onProgress?.({ phase: `Fetching ${title} from npm`, fraction });
  report(0);
  const release = await waitForLock(`${file}.lock`, {
    signal,
    onWait: (owner) => onProgress?.({ phase: `Waiting for process ${owner}, which is fetching ${title}`, fraction: 0 }),
  });
  try {
    return await ensureConverted({
      folder: home,
      fileName,
      bytesNeeded,
      write: write(fetch, { home, onProgress: report, signal }),
      signal,
    });
  } finally {
    await release();
  }
}

export const namedModels: readonly NamedModel[] = [minimind, tinyllama, bgeSmallZh, minilm];

export function findNamedModel(name: string): NamedModel | undefined {
  return namedModels.find((model) => model.name === name || model.otherNames.includes(name));
}
