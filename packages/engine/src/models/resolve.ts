import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { ensureConverted } from './converted-model.ts';
import { problemWithGguf } from './gguf-file.ts';
import { minimindGguf } from './minimind.ts';
import { locateInstalledPackage, readWeightsPackage, weightsPackage, type LocatePackage } from './weights-package.ts';

export interface ModelProgress {
  /** For people. */
  readonly phase: string;
  /** 0 … 1. */
  readonly fraction: number;
}

export interface ResolveOptions {
  /** `default` or the name of its weights package, or the path of a GGUF file. */
  readonly model: string;
  /** Folder of converted models. */
  readonly home: string;
  readonly onProgress?: (progress: ModelProgress) => void;
  readonly signal?: AbortSignal;
  readonly locatePackage?: LocatePackage;
}

export interface ResolvedModel {
  readonly path: string;
  /** What the file came from, for people: a model's or a file's name. */
  readonly source: string;
}

/** Raised when a conversion would give other bytes: the old file is then no longer found. */
const converterVersion = 1;
const knownNames: readonly string[] = ['default', weightsPackage.name];

/**
 * Finds the GGUF file of a model, and makes the default one when it is not there.
 *
 * Throws `engine_failed` with what to do, or the signal's reason.
 */
export async function resolveModel(options: ResolveOptions): Promise<ResolvedModel> {
  return knownNames.includes(options.model) ? makeDefault(options) : findFile(options.model);
}

async function makeDefault({ home, onProgress, signal, locatePackage = locateInstalledPackage }: ResolveOptions): Promise<ResolvedModel> {
  const phase = 'Preparing the default model';
  const file = await ensureConverted({
    folder: home,
    fileName: `minimind2-small-q8_0-v${converterVersion}.gguf`,
    content: async () => {
      onProgress?.({ phase, fraction: 0 });
      return minimindGguf(await readWeightsPackage(locatePackage));
    },
    onProgress: (fraction) => onProgress?.({ phase, fraction }),
    signal,
  });
  return { path: file, source: 'minimind2-small' };
}

async function findFile(name: string): Promise<ResolvedModel> {
  const file = path.resolve(name);
  const problem = await problemWithGguf(file);
  if (problem) {
    const known = knownNames.map((known) => `"${known}"`).join(' or ');
    throw new AutoglmError('engine_failed', `The model ${name} cannot be used: ${problem}. Name a GGUF file (--model FILE.gguf), or ${known}.`);
  }
  return { path: file, source: path.basename(file, '.gguf') };
}
