import type { IncomingMessage, ServerResponse } from 'node:http';

/** As the configuration has it. */
export interface CorsOptions {
  readonly origins: readonly string[];
  readonly max_age_seconds: number;
}

const methods = 'GET, HEAD, POST, PATCH, DELETE';
/** What a script may read beside the body: all that this server says in headers of its own. */
const exposed = [
  'etag', 'location', 'accept-patch', 'retry-after', 'server-timing', 'x-request-id', 'x-autoglm-cache', 'x-autoglm-tier', 'x-autoglm-engine',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
].join(', ');

/**
 * Lets pages of other origins use this server (WHATWG Fetch, 3.3). Keys come in a header that a script sets, never by themselves as cookies do, so credentials are
 * not allowed; whoever may come in is still checked as for everybody.
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

  /** Says to a browser whether its page may read the answer. True: it only asked that, and is answered. */
  answers({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
    const { origin } = headers;
    // Whoever keeps answers must keep one for each origin, whether or not this one had any.
    if (!this.#isOpen) response.setHeader('vary', 'origin');
    if (origin === undefined || !(this.#isOpen || this.#origins.has(origin))) return false;
    response.setHeader('access-control-allow-origin', this.#isOpen ? '*' : origin);
    response.setHeader('access-control-expose-headers', exposed);
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
    const asked = headers['access-control-request-headers'];
    response.writeHead(204, { 'access-control-allow-methods': methods, ...(asked !== undefined && { 'access-control-allow-headers': asked }), 'access-control-max-age': this.#maxAge });
    response.end();
    return true;
  }
}
