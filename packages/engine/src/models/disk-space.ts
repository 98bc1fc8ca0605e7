import { statfs } from 'node:fs/promises';
import { AutoglmError } from '@open-autoglm/protocol';

/** Left free beside what is written, so that the machine does not run into a full disk because of us. */
const reserveBytes = 64 * 1024 * 1024;

/** Throws `engine_failed` naming the folder and both amounts when it has no room for so many bytes. The folder must exist. */
export async function checkDiskSpace(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const available = bavail * bsize;
  if (available >= bytes + reserveBytes) return;
  throw new AutoglmError('engine_failed', `There is no room for ${what} in ${folder}: it needs ${formatBytes(bytes)}, and ${formatBytes(available)} are free. Make room, or set AUTOGLM_HOME to a folder on another disk.`);
}

/** 1234567890 → "1.2 GB". */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes >= 1e9 ? ['GB', 1e9] : bytes >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
  const value = bytes / (size as number);
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}
