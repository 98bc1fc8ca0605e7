/** Something that the user can put right; the message says how. Shown without a stack trace. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** Errors by these names speak to the user; any other is a defect, whose stack trace helps to mend it. */
const namesForUsers = new Set(['UserError', 'ConfigError', 'AutoglmError']);

export function reportFailure(error: unknown): void {
  const isForUsers = error instanceof Error && namesForUsers.has(error.name);
  const text = isForUsers || !(error instanceof Error) ? messageOf(error) : `unexpected error: ${error.stack ?? error.message}`;
  process.stderr.write(`autoglm: ${text}\n`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whoever read the output has seen enough, as `head` does: that is no failure. A full disk is one. */
export function endWithOutput(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw new UserError(`The output cannot be written: ${error.message}`);
    process.exit(0);
  });
}
