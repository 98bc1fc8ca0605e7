import { statfs } from 'node:fs/promises';
import { AutoglmError } from '@open-autoglm/protocol';
import { formatBytes } from './bytes.ts';

/** Left free beside what is written, so that the machine does not run into a full disk because of us. */
const reserveBytes = 64 * 1024 * 1024;

/** Throws `engine_failed` naming the folder and both amounts when it has no room for so many bytes. The folder must exist. */
export async function checkDiskSpace(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const available = bavail * bsize;
  if (available >= bytes + reserveBytes) return;
  throw new AutoglmError(
    'engine_failed',
    `There is no room for ${what} in ${folder}: it needs ${formatBytes(bytes)}, beside ${formatBytes(reserveBytes)} that stay free, and ${formatBytes(available)} are. Make room, or name a folder on another disk (AUTOGLM_HOME is the one of models).`,
  );
}
