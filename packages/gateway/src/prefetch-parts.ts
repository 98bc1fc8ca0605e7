import { AsyncLocalStorage } from 'node:async_hooks';
import type { Asker } from './common/asker.ts';
import { ConfigError } from './common/config-error.ts';
import type { Config } from './config/schema.ts';
import { Prefetcher } from './response-cache/prefetch/prefetcher.ts';

export interface Prefetching {
  readonly prefetcher: Prefetcher;
  /** Begins to ask what the configuration names. */
  begin(asker: Asker): void;
  close(): void;
}

type Configured = Config['cache']['prefetch']['requests'][number];

/** Who computes answers ahead, as the configuration wants it; undefined: it wants nobody. Throws `ConfigError` where a key is missing. */
export function openPrefetch(
  { enabled, prefetch, ttl_seconds: ttlSeconds }: Config['cache'],
  env: Readonly<Record<string, string | undefined>>,
): Prefetching | undefined {
  if (!enabled || !prefetch.enabled) return undefined;
  const { follow_ups: followUps } = prefetch;
  const requests = prefetch.requests.map((request) => ({ ...request, headers: headersOf(request, env) }));
  const prefetcher = new Prefetcher(
    {
      tokensPerMinute: prefetch.tokens_per_minute,
      idleMs: prefetch.idle_ms,
      // Seen infinitely often: nothing is expected.
      countMin: followUps.enabled ? followUps.count_min : Infinity,
      shareMin: followUps.share_min,
      entriesMax: followUps.max_entries,
      bytesMax: followUps.max_bytes,
      now: () => performance.now(),
      schedule(callback, delayMs) {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    ttlSeconds * 1000,
  );
  // What is asked through the asker goes the whole way: here it is known again.
  const own = new AsyncLocalStorage<true>();
  prefetcher.recogniseBy(() => own.getStore() === true);
  let timer: NodeJS.Timeout | undefined;
  return {
    prefetcher,
    begin(asker) {
      const askAll = () => {
        for (const { path, body, headers } of requests) {
          prefetcher.add((signal, onPart) =>
            own.run(true, () =>
              asker.run({ api: path === '/v1/completions' ? 'completion' : 'chat', body, headers, signal }, async ({ parts, timings }) => {
                for await (const part of parts) if (timings.cache === 'miss') onPart(part);
                return timings.cache === 'miss' ? (timings.notes?.['cache'] as { readonly key: string } | undefined)?.key : undefined;
              }),
            ),
          );
        }
      };
      if (requests.length === 0) return;
      askAll();
      timer = setInterval(askAll, prefetch.every_seconds * 1000);
    },
    close() {
      clearInterval(timer);
      prefetcher.close();
    },
  };
}

function headersOf({ tenant, api_key_env: name }: Configured, env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const key = name === undefined ? undefined : env[name];
  if (name !== undefined && !key) throw new ConfigError(`cache.prefetch.requests: the environment variable ${name} is not set.`);
  return {
    'x-autoglm-lane': 'batch',
    ...(tenant !== undefined && { 'x-autoglm-tenant': tenant }),
    ...(key && { authorization: `Bearer ${key}` }),
  };
}
