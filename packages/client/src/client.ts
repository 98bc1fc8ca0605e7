import { ChatStream } from './chat-stream.ts';
import { ConnectionError } from './errors.ts';
import { RetryBudget } from './retry.ts';
import { Session } from './session.ts';
import { onExit } from './on-exit.ts';
import { Tracker, type TrackerOptions } from './tracker.ts';
import { Transport } from './transport.ts';
import type { ChatBody, ChatCompletion, Embeddings, EmbeddingsBody, Model } from './wire.ts';

export interface ClientOptions {
  /** As OpenAI's clients take it: `http://127.0.0.1:8080/v1`. In a page, its own server when not given. */
  readonly baseUrl?: string;
  readonly apiKey?: string;
  /** Tells the users of one key apart. */
  readonly tenant?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** `msgpack` asks for MessagePack with shared records; other servers than open-autoglm may not have it. */
  readonly encoding?: 'json' | 'msgpack';
  /** Of one request; 2 when not given. All together are at most a fifth of the requests, 10 saved up. */
  readonly retriesMax?: number;
  readonly events?: TrackerOptions;
  /** Where requests go out; the runtime's own when not given. */
  readonly fetch?: typeof fetch;
  /** Of a test. */
  readonly random?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface RequestOptions {
  /** Abandons the request, and the generation with it. */
  readonly signal?: AbortSignal;
}

export interface Client {
  readonly chat: {
    readonly completions: {
      create(body: ChatBody & { readonly stream: true }, options?: RequestOptions): Promise<ChatStream>;
      create(body: ChatBody & { readonly stream?: false }, options?: RequestOptions): Promise<ChatCompletion>;
    };
  };
  readonly embeddings: { create(body: EmbeddingsBody, options?: RequestOptions): Promise<Embeddings> };
  readonly models: {
    list(options?: RequestOptions): Promise<readonly Model[]>;
    retrieve(id: string, options?: RequestOptions): Promise<Model>;
  };
  readonly sessions: { create(body: ChatBody): Promise<Session>; open(id: string): Promise<Session> };
  /** Counts an event; sums of them are sent from time to time, and when the page or the process ends. */
  track(name: string, value?: number): void;
  /** Resolves when everything tracked is counted. */
  flush(): Promise<void>;
  /** Flushes, and stops counting by itself. */
  close(): Promise<void>;
}

/** `fetch` takes a header as bytes, and refuses letters that are none: these are UTF-8's. */
function bytesOf(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

export function createClient(options: ClientOptions = {}): Client {
  const transport = new Transport({
    baseUrl: (options.baseUrl ?? ownServer()).replace(/\/+$/, ''),
    headers: {
      ...(options.apiKey !== undefined && { authorization: `Bearer ${options.apiKey}` }),
      ...(options.tenant !== undefined && { 'x-autoglm-tenant': bytesOf(options.tenant) }),
      ...options.headers,
    },
    encoding: options.encoding ?? 'json',
    retriesMax: options.retriesMax ?? 2,
    budget: new RetryBudget(0.2, 10),
    // A browser's own fetch must be called as the window's.
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    random: options.random ?? Math.random,
    now: Date.now,
    wait: options.wait ?? wait,
  });
  let tracker: Tracker | undefined;
  let stopWatching = () => {};
  const tracking = (): Tracker => {
    if (tracker) return tracker;
    const opened = new Tracker(
      { transport, clientId: crypto.randomUUID(), random: options.random ?? Math.random, timers: { set: setTimer } },
      options.events,
    );
    stopWatching = onExit({ leave: () => opened.leave(), flush: () => opened.flush() });
    return (tracker = opened);
  };
  const ask = async <T>(method: 'GET' | 'POST', path: string, body: unknown, { signal }: RequestOptions = {}) =>
    (await transport.ask<T>({ method, path, body, safety: 'repeatable', signal })).value;
  const stream = async (body: ChatBody, { signal }: RequestOptions) => {
    const abort = new AbortController();
    const both = signal ? AbortSignal.any([signal, abort.signal]) : abort.signal;
    return new ChatStream(await transport.send({ method: 'POST', path: '/chat/completions', body, safety: 'repeatable', signal: both }), {
      abort,
      signal: both,
    });
  };
  const create = (body: ChatBody, own: RequestOptions = {}) =>
    body.stream ? stream(body, own) : ask<ChatCompletion>('POST', '/chat/completions', body, own);
  return {
    chat: { completions: { create: create as Client['chat']['completions']['create'] } },
    embeddings: { create: (body, own) => ask('POST', '/embeddings', body, own) },
    models: {
      async list(own) {
        const { data } = await ask<{ readonly data: readonly Model[] }>('GET', '/models', undefined, own);
        if (!Array.isArray(data)) throw new ConnectionError('What came is no list of models.');
        return data;
      },
      retrieve: (id, own) => ask('GET', `/models/${encodeURIComponent(id)}`, undefined, own),
    },
    sessions: { create: (body) => Session.create(transport, body), open: (id) => Session.open(transport, id) },
    track: (name, value) => tracking().track(name, value),
    flush: async () => tracker?.flush(),
    async close() {
      stopWatching();
      try {
        await tracker?.flush();
      } finally {
        tracker?.close();
      }
    },
  };
}

function ownServer(): string {
  const { location } = globalThis as { location?: { readonly origin: string } };
  if (location) return `${location.origin}/v1`;
  throw new TypeError('baseUrl is missing: where is the server? For example http://127.0.0.1:8080/v1');
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}

function setTimer(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms) as unknown as { unref?(): void };
  // Of Node, whose process may end: what is left is flushed then.
  timer.unref?.();
  return () => clearTimeout(timer as never);
}
