import path from 'node:path';
import { isFileSystemError } from './file-system-error.ts';
import { removeStaleFolders } from './npm-packages.ts';
import { removeUnfinished } from './write-then-rename.ts';

/**
 * Removes from the cache folder what processes that were killed were about to make: nobody may ever make the same again. A model that is
 * whole stays. What cannot be removed stays too: nothing depends on it.
 */
export async function removeLeftovers(home: string): Promise<void> {
  for (const remove of [
    () => removeStaleFolders(home),
    () => removeUnfinished(home),
    () => removeUnfinished(path.join(home, 'quantized')),
  ]) {
    await remove().catch((error: unknown) => {
      if (!isFileSystemError(error)) throw error;
    });
  }
}
