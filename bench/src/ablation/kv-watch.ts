import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';

/** As often as the engine tells its state. */
const intervalMs = 1000;

/**
 * The largest share of the KV cache that sequences held while `work` ran, 0 … 1, as the server's metrics tell it once a second; and what
 * `work` returned.
 */
export async function watchKvUsage<T>(url: string, work: () => Promise<T>): Promise<{ readonly result: T; readonly peak: number }> {
  const ended = new AbortController();
  let peak = 0;
  const watch = async () => {
    while (!ended.signal.aborted) {
      // A server that does not answer is told of by `work`.
      peak = Math.max(peak, await askUsage(url).catch(() => 0));
      await sleep(intervalMs, undefined, { signal: ended.signal }).catch(() => {});
    }
  };
  const watching = watch();
  try {
    return { result: await work(), peak };
  } finally {
    ended.abort();
    await watching;
  }
}

async function askUsage(url: string): Promise<number> {
  const { body } = await request(`${url}/metrics`);
  return kvUsageOf(await body.text());
}

/** 0 where the metrics do not say. */
export function kvUsageOf(metrics: string): number {
  const values = [...metrics.matchAll(/^vllm:kv_cache_usage_perc(?:\{[^}]*\})? ([\d.e+-]+)$/gm)].map(([, value]) => Number(value));
  return Math.max(0, ...values);
}
