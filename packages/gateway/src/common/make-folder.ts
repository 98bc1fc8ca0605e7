import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes a folder and those above it, and tells whether it had to. Node's own `recursive` goes on for ever where a file system refuses a
 * folder as if the one above were missing, as /proc does.
 */
export function makeFolder(folder: string): boolean {
  const failure = make(folder);
  if (typeof failure === 'boolean') return failure;
  const above = path.dirname(folder);
  if (failure.code !== 'ENOENT' || above === folder) throw failure;
  makeFolder(above);
  const again = make(folder);
  if (typeof again === 'boolean') return again;
  if (again.code === 'ENOENT') again.message = `no folder can be made in ${above}, mkdir '${folder}'`;
  throw again;
}

/** Whether it was made; or why it is not there now. */
function make(folder: string): boolean | NodeJS.ErrnoException {
  try {
    mkdirSync(folder);
  } catch (error) {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? false : (error as NodeJS.ErrnoException);
  }
  return true;
}
