import { existsSync } from 'node:fs';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { problemWithGguf } from './gguf-file.ts';
import { removeLeftovers } from './leftovers.ts';
import { findNamedModel, namedModels } from './named-models.ts';
import type { PrepareOptions } from './prepare-options.ts';
import { findPulled, parseReference } from './pulled-models.ts';
import { ensureFromFolder, ensureQuantized } from './quantization.ts';

export type { ModelProgress, Quantization } from './prepare-options.ts';

export interface ResolveOptions extends PrepareOptions {
  /**
   * The name of a model, such as `default`, or of its weights package, or of one that was pulled, or the path of a GGUF file, or of a
   * folder as `transformers` saves a model.
   */
  readonly model: string;
}

export interface ResolvedModel {
  readonly path: string;
  /** What the file came from, for people: a model's or a file's name. */
  readonly source: string;
}

/**
 * Finds the GGUF file of a model, makes that of a named one when it is not there, and one of the quantization asked for.
 *
 * Throws `engine_failed` with what to do, or the signal's reason.
 */
export async function resolveModel(options: ResolveOptions): Promise<ResolvedModel> {
  await removeLeftovers(options.home);
  const named = findNamedModel(options.model);
  if (!named && existsSync(path.join(options.model, 'config.json'))) {
    return { path: await ensureFromFolder(options.model, options), source: path.basename(path.resolve(options.model)) };
  }
  const found = named ? { path: await named.prepare(options), source: named.source } : await findFile(options.model, options.home);
  return { ...found, path: await ensureQuantized(found.path, options) };
}

/** A file wins over a pulled model of the same name; a reference such as `hf:OWNER/NAME` is never a file. */
async function findFile(name: string, home: string): Promise<ResolvedModel> {
  const isFile = !parseReference(name) && existsSync(name);
  const pulled = isFile ? undefined : await findPulled(home, name);
  const file = pulled?.path ?? path.resolve(name);
  const problem = await problemWithGguf(file);
  if (problem) {
    const known = namedModels.map((model) => `"${model.name}"`).join(' or ');
    throw new AutoglmError(
      'engine_failed',
      `The model ${name} cannot be used: ${problem}. Name a GGUF file (--model FILE.gguf), or ${known}, or one that autoglm models lists.`,
    );
  }
  return { path: file, source: path.basename(file, '.gguf') };
}
