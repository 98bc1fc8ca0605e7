import { afterEach, describe, expect, it } from 'vitest';
import { defaultConfig, startGateway, type Gateway } from '../../src/main.ts';
import { chatBody, until } from '../support.ts';
import { scrape } from './scrape.ts';

describe('an engine that is full', () => {
  let gateway: Gateway;
  afterEach(() => gateway.drain());

  it('is named as what made the requests slow that wait for it, and tells of itself', async () => {
    const config = {
      ...defaultConfig,
      server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
      // A short request would be let past one that has only begun.
      admission: { ...defaultConfig.admission, policy: 'fcfs' as const },
      model_config: { ...defaultConfig.model_config, max_batch_size: 1, context_length: 4096, threads: 1 },
    };
    gateway = await startGateway({ config });
    const ask = (maxTokens: number, options: object = {}, signal: AbortSignal | null = null) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        signal,
        body: JSON.stringify({ ...chatBody, max_tokens: maxTokens, temperature: 0, logit_bias: { 2: -100 }, ...options }),
      });
    await gateway.engine?.ready();
    const responses = await Promise.all([ask(60), ask(60), ask(60), ask(60)]);
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await Promise.all(responses.map((response) => response.text()));
    await until(
      async () =>
        (await scrape(gateway.url)).value('autoglm_bottleneck_requests_total', {
          segment: 'queue',
          cause: 'queueing',
          detail: 'batch-full',
        }) >= 2,
    );

    await until(async () => (await scrape(gateway.url)).value('autoglm_engine_generated_tokens_total') >= 240);
    const labels = { model_name: 'default', engine: 'embedded' };
    const done = await scrape(gateway.url);
    expect(done.value('autoglm_engine_generated_tokens_total', labels)).toBe(240);
    expect(done.count('vllm:inter_token_latency_seconds', labels)).toBe(240 - 4);
    // Fewer steps than tokens, where drafts were right.
    expect(done.count('autoglm_engine_batch_size', labels)).toBeGreaterThan(0);
    expect(done.value('vllm:prefix_cache_queries_total', labels)).toBe(done.value('vllm:prompt_tokens_total'));
    expect(done.value('autoglm_engine_cpu_seconds_total', labels)).toBeGreaterThan(0);
    expect(done.value('autoglm_engine_resident_memory_bytes', labels)).toBeGreaterThan(1e6);
    expect(done.value('autoglm_engine_state', { ...labels, tier: 'edge', state: 'ready' })).toBe(1);

    const leaving = new AbortController();
    const running = ask(3500, {}, leaving.signal).catch(() => {});
    const refused = await ask(5, { autoglm: { deadline_ms: 1500 } });
    expect(refused.status).toBe(504);
    expect(refused.headers.get('server-timing')).toMatch(/queue;dur=1\d{3}\./);
    const busy = await scrape(gateway.url);
    expect(busy.value('vllm:num_requests_running', labels)).toBe(1);
    expect(busy.value('vllm:num_requests_waiting', labels)).toBe(1);
    expect(busy.value('vllm:kv_cache_usage_perc', labels)).toBeGreaterThan(0);
    expect(busy.value('vllm:kv_cache_usage_perc', labels)).toBeLessThanOrEqual(1);
    leaving.abort();
    await running;
  });
});
