import type { RemoteModel } from '@open-autoglm/protocol';
import type { Dispatcher } from 'undici';
import { readBounded } from './read-bounded.ts';

/** A server that does not answer is asked again sooner. */
const retryMsMax = 1000;
const listBytesMax = 4 * 1024 * 1024;

/** What a server said of its models: the one that is wanted, or why nothing is known of it. */
export type Discovered = { readonly model: RemoteModel } | { readonly missing: string } | { readonly error: Error };

export interface DiscoveryOptions {
  readonly dispatcher: Dispatcher;
  readonly path: string;
  readonly headers: readonly string[];
  readonly model: string;
  /** How often the server is asked, and how long it may take to answer. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly onDiscovered: (discovered: Discovered) => void;
}

export interface Discovery {
  /** Asks now, and not when it would be time. */
  hurry(): void;
  stop(): void;
}

/**
 * Asks `GET /v1/models` again and again in the background, until it is stopped: what the server has, and whether it lives. Holds no process
 * up.
 */
export function startDiscovery(options: DiscoveryOptions): Discovery {
  const stopped = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const ask = async () => {
    timer = undefined;
    const discovered = await discover(options, stopped.signal).catch((error: Error): Discovered => ({ error }));
    if (stopped.signal.aborted) return;
    options.onDiscovered(discovered);
    timer = setTimeout(ask, 'error' in discovered ? Math.min(options.intervalMs, retryMsMax) : options.intervalMs).unref();
  };
  void ask();
  return {
    hurry() {
      if (timer === undefined) return;
      clearTimeout(timer);
      void ask();
    },
    stop() {
      stopped.abort();
      clearTimeout(timer);
    },
  };
}

interface WireModel {
  readonly id?: unknown;
  readonly created?: unknown;
  readonly owned_by?: unknown;
  /** vLLM's and SGLang's. */
  readonly max_model_len?: unknown;
  /** llama.cpp's. */
  readonly meta?: { readonly n_ctx?: unknown; readonly n_ctx_train?: unknown } | null;
  /** Ours. */
  readonly autoglm?: { readonly context_length?: unknown; readonly source?: unknown } | null;
}

async function discover({ model, timeoutMs, ...options }: DiscoveryOptions, stopped: AbortSignal): Promise<Discovered> {
  const listed = await list(options, AbortSignal.any([stopped, AbortSignal.timeout(timeoutMs)]));
  // It is there, and answers; whether it lists models is another matter.
  if (typeof listed === 'string') return { missing: listed };
  const found = listed.find(({ id }) => id === model || id === `${model}:latest`);
  return found
    ? { model: toModel(found) }
    : {
        missing: `it lists ${
          listed
            .map(({ id }) => String(id))
            .slice(0, 8)
            .join(', ') || 'no model'
        }`,
      };
}

/** The models that a server lists, or how it answered instead. */
export async function list(
  { dispatcher, path, headers }: Pick<DiscoveryOptions, 'dispatcher' | 'path' | 'headers'>,
  signal: AbortSignal,
): Promise<WireModel[] | string> {
  const { statusCode, body } = await dispatcher.request({ path, method: 'GET', headers: [...headers], signal });
  if (statusCode === 200)
    return readList(await readBounded(body, listBytesMax, () => new RangeError(`the list of models is longer than ${listBytesMax} bytes`)));
  await body.dump();
  if (statusCode >= 500) throw new Error(`GET ${path} is answered with status ${statusCode}`);
  return `GET ${path} is answered with status ${statusCode}`;
}

function readList(text: string): WireModel[] {
  try {
    const { data } = JSON.parse(text) as { data?: unknown };
    return Array.isArray(data) ? data.filter((entry) => typeof entry === 'object' && entry !== null) : [];
  } catch {
    return [];
  }
}

function toModel(listed: WireModel): RemoteModel {
  const { created, owned_by: ownedBy, max_model_len: maxModelLength, meta, autoglm } = listed;
  const length = [maxModelLength, meta?.n_ctx, meta?.n_ctx_train, autoglm?.context_length].find((value) => Number.isSafeInteger(value));
  return {
    created: Number.isSafeInteger(created) ? (created as number) : undefined,
    ownedBy: typeof ownedBy === 'string' ? ownedBy : undefined,
    contextLength: length as number | undefined,
    source: sourceOf(listed),
  };
}

/** Where a model of another gateway came from, as that tells. */
export function sourceOf({ autoglm }: WireModel): string | undefined {
  return typeof autoglm?.source === 'string' && autoglm.source !== '' ? autoglm.source : undefined;
}
