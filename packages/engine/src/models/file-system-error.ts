/** Whether the system refused something of a file: its message names the file, and what to do about it differs by who asked. */
export function isFileSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'errno' in error;
}
