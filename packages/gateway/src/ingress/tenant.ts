import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';

const header = 'x-autoglm-tenant';

/**
 * For whom a request is: its credentials and the name that it gives, in the body or in a header. A name alone tells the users of one
 * key apart; it never leads into another key's tenant. The key itself goes no further than here; `keyOfTenant` tells which tenants have the
 * same.
 */
export function tenantOf(headers: IncomingHttpHeaders, named: string | undefined): string {
  const authorization = spelled(headers.authorization);
  const fromHeader = nameFrom(headers);
  const name = named ?? fromHeader;
  const key = authorization === '' ? '' : digest(authorization);
  return name === undefined ? key : `${key}.${digest(name)}`;
}

const digest = (text: string) => hash('sha256', text, 'base64url');

/** One key is one, however its scheme is written and whatever spaces stand about it. */
function spelled(authorization = ''): string {
  const [, key] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
  return key === undefined ? authorization : `Bearer ${key}`;
}

function nameFrom(headers: IncomingHttpHeaders): string | undefined {
  const bytes = headers[header];
  if (bytes === undefined) return undefined;
  const name = textOf(String(bytes));
  if (name.length >= 1 && name.length <= 256) return name;
  throw new AutoglmError('invalid_value', `Invalid value for '${header}': must be a string of 1 to 256 characters.`, { param: header });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Node reads the bytes of a header as Latin-1. Who has other letters sends them in UTF-8, as in a body, where the name must be the same
 * one.
 */
function textOf(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes) || /[^\0-\xff]/.test(bytes)) return bytes;
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return bytes;
  }
}
