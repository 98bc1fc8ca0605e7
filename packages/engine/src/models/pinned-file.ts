import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import type { PinnedPackage } from './npm-packages.ts';

/** One file of a package. */
export interface PinnedFile extends PinnedPackage {
  readonly file: string;
  readonly sha256: string;
}

/** The file's bytes, from its package's folder. Throws `engine_failed` where they are not those that were pinned. */
export async function readPinned(folder: string, { name, version, file, sha256 }: PinnedFile): Promise<Buffer> {
  const bytes = await readFile(path.join(folder, file));
  if (createHash('sha256').update(bytes).digest('hex') === sha256) return bytes;
  throw new AutoglmError('engine_failed', `${file} of the npm package ${name}@${version} is damaged: try again.`);
}
