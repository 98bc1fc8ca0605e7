const descriptions: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  ENOTFOUND: 'the host has no address',
  EAI_AGAIN: 'the host has no address',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'no connection in time',
  EMFILE: 'too many open files: raise ulimit -n, or lower --max-in-flight',
  EADDRNOTAVAIL: 'this computer has no port left for another connection',
};

/** One text for one cause, without ports and addresses, so that equal causes are counted together. */
export function describeConnectionError(error: Error): string {
  // Where a name has several addresses, the errors of all are within.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const code = codeOf(error) ?? codeOf(first) ?? '';
  return descriptions[code] ?? (code === '' ? error.message : `${error.message} (${code})`);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
