import { stat } from 'node:fs/promises';

/** Whether both paths lead to one file or folder, as links and relative paths may; false where either leads to none. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map((path) => stat(path, { bigint: true }).catch(() => undefined)));
  return first !== undefined && first.dev === second?.dev && first.ino === second.ino;
}
