/**
 * What an error says. Where several addresses of one name were tried, as of `localhost`, what each said: the error of all says nothing
 * itself.
 */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  const parts = error instanceof AggregateError ? [...new Set(error.errors.map(wordsOf))] : [];
  return parts.join('; ') || ((error as NodeJS.ErrnoException).code ?? error.name);
}
