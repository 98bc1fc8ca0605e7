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
  throw new AutoglmError('engine_failed', `There is no room for ${what} in ${folder}: it needs ${formatBytes(bytes)}, and ${formatBytes(available)} are free. Make room, or set AUTOGLM_HOME to a folder on another disk.`);
}
