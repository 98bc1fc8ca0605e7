import type { IncomingMessage, ServerResponse } from 'node:http';

/** As the configuration has it. */
export interface CorsOptions {
  readonly origins: readonly string[];
  readonly max_age_seconds: number;
}

const methods = 'GET, HEAD, POST, PATCH, DELETE';
/** What a script may read beside the body: all that this server says in headers of its own. */
const exposed = [
  'etag',
  'location',
  'accept-patch',
  'retry-after',
  'server-timing',
  'x-request-id',
  'x-autoglm-cache',
  'x-autoglm-tier',
  'x-autoglm-engine',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
].join(', ');

/**
 * What a page may send without asking first has none of these types (WHATWG Fetch, 2.2.2): it is a form, a text, or a body that a script
 * leaves without a type. The type itself counts: `text/plain; json` is a text, and needs no leave.
 */
const typesAskedFor = /^[^;]*\b(json|msgpack)\b/i;

/**
 * Whether a page of another origin sends this unasked, as its browser says (Fetch Metadata). It could not read the answer, but the work
 * would be done: by a server without keys for any page that its user opens. What is asked for beforehand was allowed, here or by a
 * proxy that answers for us.
 */
export function isUnasked({ method, headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== 'cross-site' && site !== 'same-site') return false;
  return method === 'POST' && headers.authorization === undefined && !typesAskedFor.test(headers['content-type'] ?? '');
}

/**
 * Lets pages of other origins use this server (WHATWG Fetch, 3.3). Keys come in a header that a script sets, never by themselves as
 * cookies do, so credentials are not allowed; whoever may come in is still checked as for everybody.
 */
export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #isOpen: boolean;
  readonly #maxAge: string;

  constructor({ origins, max_age_seconds: maxAgeSeconds }: CorsOptions) {
    this.#origins = new Set(origins);
    this.#isOpen = this.#origins.has('*');
    this.#maxAge = String(maxAgeSeconds);
  }

  allows(origin: string | undefined): origin is string {
    return origin !== undefined && (this.#isOpen || this.#origins.has(origin));
  }

  /** Says to a browser whether its page may read the answer. True: it only asked that, and is answered. */
  answers({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
    const { origin } = headers;
    // Whoever keeps answers must keep one for each origin, whether or not this one had any.
    if (!this.#isOpen) response.setHeader('vary', 'origin');
    if (!this.allows(origin)) return false;
    response.setHeader('access-control-allow-origin', this.#isOpen ? '*' : origin);
    response.setHeader('access-control-expose-headers', exposed);
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
    const wanted = headers['access-control-request-headers'];
    response.writeHead(204, {
      'access-control-allow-methods': methods,
      ...(wanted !== undefined && { 'access-control-allow-headers': wanted }),
      'access-control-max-age': this.#maxAge,
    });
    response.end();
    return true;
  }
}
