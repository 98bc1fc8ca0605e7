import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { ensureConverted } from './converted-model.ts';
import { minimindGguf } from './minimind.ts';
import { locateInstalledPackage, readWeightsPackage, type LocatePackage } from './weights-package.ts';

export interface ModelProgress {
  /** For people. */
  readonly phase: string;
  /** 0 … 1. */
  readonly fraction: number;
}

export interface ResolveOptions {
  /** `default`, or the path of a GGUF file. */
  readonly model: string;
  /** Folder of converted models. */
  readonly home: string;
  readonly onProgress?: (progress: ModelProgress) => void;
  readonly signal?: AbortSignal;
  readonly locatePackage?: LocatePackage;
}

export interface ResolvedModel {
  readonly path: string;
  /** What the file came from, for people: a package's or a file's name. */
  readonly source: string;
}

/** Raised when a conversion would give other bytes: the old file is then no longer found. */
const converterVersion = 1;

/** Finds the GGUF file of a model, and makes the default one when it is not there. Throws `engine_failed`. */
export async function resolveModel(options: ResolveOptions): Promise<ResolvedModel> {
  if (options.model !== 'default') return findFile(options.model);
  const phase = 'Preparing the default model';
  const file = await ensureConverted({
    folder: options.home,
    fileName: `minimind2-small-q8_0-v${converterVersion}.gguf`,
    content: async () => {
      options.onProgress?.({ phase, fraction: 0 });
      return minimindGguf(await readWeightsPackage(options.locatePackage ?? locateInstalledPackage));
    },
    onProgress: (fraction) => options.onProgress?.({ phase, fraction }),
    signal: options.signal,
  });
  return { path: file, source: 'minimind2-small' };
}

async function findFile(name: string): Promise<ResolvedModel> {
  const file = path.resolve(name);
  const problem = await problemWith(file);
  if (problem) throw new AutoglmError('engine_failed', `The model ${name} cannot be used: ${problem}. Give the path of a GGUF file, or "default".`);
  return { path: file, source: path.basename(file, '.gguf') };
}

async function problemWith(file: string): Promise<string | undefined> {
  const status = await stat(file).catch(() => undefined);
  if (!status) return 'there is no such file';
  if (!status.isFile()) return 'it is not a file';
  const handle = await open(file).catch((error: Error) => error);
  if (handle instanceof Error) return handle.message;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString('latin1') === 'GGUF' ? undefined : 'it is not a GGUF file';
  } finally {
    await handle.close();
  }
}
