import { request } from 'undici';
import type { Served, startLoad } from '../gateway/processes.ts';
import type { LoopResult, LoopTask } from '../gateway/protocol.ts';

export type Load = ReturnType<typeof startLoad>;

export const question = (text: string) => ({ model: 'bench', temperature: 0, messages: [{ role: 'user', content: text }] });

/** Throws when a request failed: the figures would be of something else. */
export async function loop(load: Load, served: Served, task: Omit<LoopTask, 'url' | 'headers'>): Promise<LoopResult> {
  const result = await load.run({ url: served.url, headers: {}, ...task });
  if (result.failed > 0) throw new Error(`${result.failed} requests failed: ${result.failure}`);
  return result;
}

/** How often the cache had no answer. */
export async function lookups({ url }: Served): Promise<{ readonly miss: number }> {
  const { body } = await request(`${url}/metrics`);
  const text = await body.text();
  return { miss: Number(/^autoglm_response_cache_lookups_total\{result="miss"\} (\d+)$/m.exec(text)?.[1] ?? 0) };
}
