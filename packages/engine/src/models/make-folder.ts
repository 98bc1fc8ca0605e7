import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Makes a folder and those above it. Node's own `recursive` goes on for ever where a file system refuses a folder as if the one above were
 * missing, as /proc does.
 */
export async function makeFolder(folder: string): Promise<void> {
  const failure = await make(folder);
  if (!failure) return;
  const above = path.dirname(folder);
  if (failure.code !== 'ENOENT' || above === folder) throw failure;
  await makeFolder(above);
  const again = await make(folder);
  if (again?.code === 'ENOENT') again.message = `no folder can be made in ${above}, mkdir '${folder}'`;
  if (again) throw again;
}

/** Why it is not there now. */
async function make(folder: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(folder);
  } catch (error) {
    const isThere = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    return isThere ? undefined : (error as NodeJS.ErrnoException);
  }
  return undefined;
}
