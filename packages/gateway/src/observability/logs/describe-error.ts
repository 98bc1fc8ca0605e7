const framesMax = 12;

/**
 * An error for the log: its kind and where it was thrown. Its message only where contents are captured: V8 quotes in it what
 * could not be read, and that may be a client's words.
 */
export function describeError(error: unknown, hasMessage: boolean): Record<string, unknown> {
  // Such as the words of another server.
  if (!(error instanceof Error)) return { name: typeof error, ...(hasMessage && { message: String(error) }) };
  const frames = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, framesMax)
    .map((line) => line.trim());
  return { name: error.name, code: (error as NodeJS.ErrnoException).code, ...(hasMessage && { message: error.message }), frames };
}
