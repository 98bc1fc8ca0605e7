import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';

export function toEtag(revision: string): string {
  return `"${revision}"`;
}

/**
 * The revision that a header names: undefined where there is no header, null where it names one that no session has. One of our tags is
 * all that a client ever has of one session, so lists and `*` are refused: whoever sends them does not say which context it means.
 */
export function revisionOf(headers: IncomingHttpHeaders, name: 'if-match' | 'if-none-match'): string | null | undefined {
  const value = headers[name]?.trim();
  if (value === undefined) return undefined;
  const [, revision] = /^(?:W\/)?"([^"]*)"$/.exec(value) ?? [];
  if (revision === undefined)
    throw new AutoglmError('invalid_value', `Invalid value for '${name}': must be one ETag, as a session's answers have it.`, {
      param: name,
    });
  // A weak tag never matches where the context is at stake (RFC 9110, 13.1.1).
  return name === 'if-match' && value.startsWith('W/') ? null : revision;
}
