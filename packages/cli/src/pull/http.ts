import { UserError } from '../failure.ts';

/** A request that may succeed later: a connection that broke, a server that is busy. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface HttpOptions {
  /** Sent to this origin, and to no other that it redirects to. */
  readonly token?: string | undefined;
  readonly origin: string;
  /** Silence after which a server counts as gone. */
  readonly timeoutMs: number;
  /** What is said of statuses that only the hub can explain. */
  explain(status: number): string | undefined;
}

export interface HttpClient {
  readonly timeoutMs: number;
  /** A response of status 2xx or 416. Throws `UserError`, `TransientError` or the signal's reason. */
  get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>;
}

const redirectsMax = 5;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function createHttpClient(options: HttpOptions): HttpClient {
  return {
    timeoutMs: options.timeoutMs,
    async get(url, headers, signal) {
      let at = url;
      for (let followed = 0; followed <= redirectsMax; followed += 1) {
        const response = await send(at, headers, options, signal);
        if (!redirects.has(response.status)) return checked(response, at, options);
        await response.body?.cancel();
        at = redirected(response, at);
      }
      throw new UserError(`${url.host} redirects more than ${redirectsMax} times.`);
    },
  };
}

async function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { token, origin, timeoutMs }: HttpOptions,
  signal: AbortSignal,
): Promise<Response> {
  // Redirects are followed by hand: what a hub redirects to is another's storage, which must not see the token.
  const authorization: Record<string, string> = token && url.origin === origin ? { authorization: `Bearer ${token}` } : {};
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new TransientError(`${url.host} did not answer within ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    return await fetch(url, {
      headers: { 'user-agent': 'open-autoglm', 'accept-encoding': 'identity', ...headers, ...authorization },
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout.signal]),
    });
  } catch (error) {
    throw explainNetwork(error, url, signal);
  } finally {
    clearTimeout(timer);
  }
}

function redirected(response: Response, from: URL): URL {
  const location = response.headers.get('location') ?? '';
  if (!URL.canParse(location, from.href)) throw new UserError(`${from.host} redirects to no address.`);
  const to = new URL(location, from);
  const isDowngrade = from.protocol === 'https:' && to.protocol !== 'https:';
  if (isDowngrade || !/^https?:$/.test(to.protocol))
    throw new UserError(`${from.host} redirects to ${to.protocol}//${to.host}, which is not as safe: nothing was fetched.`);
  return to;
}

async function checked(response: Response, url: URL, options: HttpOptions): Promise<Response> {
  const { status } = response;
  if (response.ok || status === 416) return response;
  await response.body?.cancel();
  if (status === 429 || status === 408 || status >= 500) throw new TransientError(`${url.host} answered ${status}`, retryAfter(response));
  // A redirect's target refuses for reasons of its own, such as a signature that has run out: asking the hub again makes a new one.
  if (url.origin !== options.origin) throw new TransientError(`${url.host} answered ${status}`);
  throw new UserError(options.explain(status) ?? `${url.host} answered ${status}.`);
}

/** Seconds or a date (RFC 9110, section 10.2.3), in milliseconds. */
function retryAfter(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  if (!text) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** What a broken connection means. URLs are not shown: their queries may hold signatures. */
export function explainNetwork(error: unknown, url: { readonly host: string }, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof TransientError) return error;
  const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
  return new TransientError(`the connection to ${url.host} failed (${code ?? message})`, undefined, { cause: error });
}
