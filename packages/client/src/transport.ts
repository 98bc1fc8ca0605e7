import { ApiError, ConnectionError, readError } from './errors.ts';
import { loadMessagePack, messagePackAccept, messagePackType } from './message-pack.ts';
import { parseRetryAfter, retryDelayMs, type RetryBudget, type RetrySafety } from './retry.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** After the base URL: `/chat/completions`. */
  readonly path: string;
  readonly body?: unknown;
  /** JSON's; the MessagePack of a body of this type is told by its value. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly safety: RetrySafety;
  readonly signal?: AbortSignal | undefined;
  /** Lets the request outlive its page; browsers bound such bodies to 64 KiB. */
  readonly keepalive?: boolean;
}

export interface TransportOptions {
  /** Ends in `/v1`. */
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly encoding: 'json' | 'msgpack';
  readonly retriesMax: number;
  readonly budget: RetryBudget;
  readonly fetch: typeof fetch;
  readonly random: () => number;
  readonly now: () => number;
  /** Resolves after so many ms, and rejects with the signal's reason. */
  readonly wait: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Sends requests, and sends them again where that is safe and the budget has room. */
export class Transport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /**
   * Resolves with a response of status 2xx or 304, whose body is not read. Rejects with `ApiError`, `ConnectionError` or the signal's
   * reason.
   */
  send(call: Call): Promise<Response> {
    return this.#repeat(call, async (response) => response);
  }

  /** The answer's value, an object. A body that breaks off counts as no answer, and the request is sent again where that is safe. */
  ask<T>(call: Call): Promise<{ readonly value: T; readonly response: Response }> {
    return this.#repeat(call, async (response) => {
      const value = await readBody(response);
      if (typeof value !== 'object' || value === null)
        throw new ConnectionError("What came is no object: somebody else may have answered in the server's place.");
      return { value: value as T, response };
    });
  }

  /** A request has one bound of tries, whatever of it fails: the connection, the status, or the body. */
  async #repeat<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const { budget, retriesMax, random, wait } = this.#options;
    budget.earn();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await read(await this.#try(call));
      } catch (error) {
        call.signal?.throwIfAborted();
        const delayMs = attempt < retriesMax ? retryDelayMs(error, call.safety, attempt, random()) : undefined;
        if (delayMs === undefined || !budget.spend()) throw error;
        await wait(delayMs, call.signal);
      }
    }
  }

  async #try({ method, path, body, contentType = 'application/json', headers, signal, keepalive }: Call): Promise<Response> {
    const { baseUrl, headers: common, encoding, fetch } = this.#options;
    const isPacked = encoding === 'msgpack';
    const encoded =
      body === undefined ? undefined : isPacked ? (await loadMessagePack()).encode(withoutUndefined(body)) : JSON.stringify(body);
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        ...(isPacked && { accept: messagePackAccept }),
        ...(encoded !== undefined && { 'content-type': isPacked ? messagePackType : contentType }),
        ...common,
        ...headers,
      },
      ...(encoded !== undefined && { body: encoded }),
      ...(signal && { signal }),
      ...(keepalive && { keepalive }),
    }).catch((cause: unknown) => {
      signal?.throwIfAborted();
      throw new ConnectionError('Nobody answered, or the connection broke off.', { cause });
    });
    if (response.ok || response.status === 304) return response;
    throw await this.#toError(response);
  }

  async #toError(response: Response): Promise<ApiError> {
    const error = await readBody(response).catch(() => undefined);
    return new ApiError(response.status, readError(error), {
      requestId: response.headers.get('x-request-id') ?? undefined,
      retryAfterMs: parseRetryAfter(response.headers.get('retry-after'), this.#options.now()),
    });
  }
}

async function readBody(response: Response): Promise<unknown> {
  const buffer = await response.arrayBuffer().catch((cause: unknown) => {
    throw new ConnectionError('The answer broke off.', { cause });
  });
  const bytes = new Uint8Array(buffer);
  if (bytes.length === 0) return undefined;
  const messagePack = isMessagePack(response) ? await loadMessagePack() : undefined;
  try {
    return messagePack ? messagePack.decode(bytes) : (JSON.parse(new TextDecoder().decode(bytes)) as unknown);
  } catch (cause) {
    throw new ConnectionError(
      `What came is not ${messagePack ? 'MessagePack' : 'JSON'}: somebody else may have answered in the server's place.`,
      { cause },
    );
  }
}

export function isMessagePack(response: Response): boolean {
  return response.headers.get('content-type')?.includes('msgpack') ?? false;
}

/** JSON leaves such members out; MessagePack would name them. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, child]) => (child === undefined ? [] : [[key, withoutUndefined(child)]])));
}
