import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError, isObject } from '@open-autoglm/protocol';

/**
 * A JSON file of a folder; what stands in it is for the caller to check. Throws `engine_failed` naming the file, or gives what stands for
 * one that may be missing.
 */
export async function readObject(folder: string, name: string, instead?: Record<string, unknown>): Promise<Record<string, unknown>> {
  const refuse = (reason: string) => new AutoglmError('engine_failed', `${folder} cannot be used: ${reason}.`);
  const text = await readFile(path.join(folder, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw refuse(`${name}: ${error.message}`);
    if (!instead) throw refuse(`${name} is missing`);
    return undefined;
  });
  if (text === undefined) return instead as Record<string, unknown>;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse(`${name}: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw refuse(`${name} is no JSON object`);
  return value;
}
