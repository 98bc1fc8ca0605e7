import { randomUUID } from 'node:crypto';
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

/** Unfinished files that nobody has written to for so long are of processes that crashed. */
const staleAfterMs = 60 * 60 * 1000;
/** Named after what they would have become. */
const unfinished = /\.gguf\.[0-9a-f-]{36}(\.seal)?\.tmp$/;

/**
 * Gives a file its name only when it is whole and on the disk: whoever finds the name finds all of it, and a crash leaves
 * what was there before. `beforeRename` gets what `write` gave. Rejects with the error of either, leaving nothing.
 */
export async function writeThenRename<T>(
  file: string,
  write: (handle: FileHandle) => Promise<T>,
  beforeRename: (result: T) => Promise<void> = async () => {},
): Promise<T> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    const result = await writeAndSync(temporary, write);
    await beforeRename(result);
    await rename(temporary, file);
    return result;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeAndSync<T>(file: string, write: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, 'wx');
  try {
    const result = await write(handle);
    // After a power failure the name would stand for missing bytes.
    await handle.sync();
    return result;
  } finally {
    await handle.close();
  }
}

/** Removes what crashed processes left of models in a folder under temporary names. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!unfinished.test(name)) continue;
    const found = path.join(folder, name);
    // Another process may have renamed it since.
    const status = await stat(found).catch(() => undefined);
    if (status && Date.now() - status.mtimeMs > staleAfterMs) await rm(found, { force: true });
  }
}
