import { Metrics } from '../../src/observability/metrics/metrics.ts';
import { createFollower } from '../../src/observability/follow.ts';
import { createMockEmbeddings, createMockEngine, defaultConfig, startGateway } from '../../src/main.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { chatBody, createGate, startTestServer, until, type TestServer } from '../support.ts';
import { readMetrics, scrape, type Family } from './scrape.ts';

const labelLengthMax = 128;

describe('/metrics', () => {
  let server: TestServer;
  afterEach(() => server[Symbol.asyncDispose]());

  it('holds the field’s names, each with the type and unit that its name promises', async () => {
    server = await startTestServer();
    await (await server.post('/v1/chat/completions', { ...chatBody, stream: true })).text();
    const { families, samples } = await scrape(server.url);
    const typeOf = (name: string) => families.find((family) => family.name === name)?.type;
    const histograms = [
      'vllm:time_to_first_token_seconds',
      'vllm:request_time_per_output_token_seconds',
      'vllm:e2e_request_latency_seconds',
      'vllm:request_queue_time_seconds',
      'vllm:request_prefill_time_seconds',
      'vllm:request_decode_time_seconds',
      'vllm:request_inference_time_seconds',
      'vllm:request_prompt_tokens',
      'vllm:request_generation_tokens',
      'gen_ai_server_request_duration_seconds',
      'gen_ai_server_time_to_first_token_seconds',
      'gen_ai_server_time_per_output_token_seconds',
      'autoglm_segment_duration_seconds',
      'nodejs_gc_duration_seconds',
    ];
    const counters = [
      'vllm:prompt_tokens_total',
      'vllm:generation_tokens_total',
      'vllm:request_success_total',
      'autoglm_requests_total',
      'autoglm_response_cache_lookups_total',
      'process_cpu_seconds_total',
    ];
    const gauges = [
      'autoglm_active_requests',
      'autoglm_engine_state',
      'process_resident_memory_bytes',
      'nodejs_heap_size_used_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ];
    expect(histograms.filter((name) => typeOf(name) !== 'HISTOGRAM')).toEqual([]);
    expect(counters.filter((name) => typeOf(name) !== 'COUNTER')).toEqual([]);
    expect(gauges.filter((name) => typeOf(name) !== 'GAUGE')).toEqual([]);
    expect(families.flatMap(wrongsOf)).toEqual([]);
    const labels = samples.flatMap((sample) => Object.entries(sample.labels));
    expect(labels.filter(([label, value]) => !/^[a-z][a-z0-9_]*$/.test(label) || value.length > labelLengthMax)).toEqual([]);
  });

  it('has histograms whose buckets rise and end at the count', async () => {
    server = await startTestServer();
    for (let index = 0; index < 3; index += 1) await (await server.post('/v1/chat/completions', chatBody)).text();
    const { histograms } = await scrape(server.url);
    expect(histograms.length).toBeGreaterThan(10);
    const isRising = (values: readonly number[]) => values.every((value, index) => index === 0 || value >= (values[index - 1] as number));
    for (const { name, buckets, count, sum } of histograms) {
      expect([name, isRising(buckets.map(({ bound }) => bound)), isRising(buckets.map((bucket) => bucket.count))]).toEqual([
        name,
        true,
        true,
      ]);
      expect([name, buckets.at(-1)]).toEqual([name, { bound: Infinity, count }]);
      expect(sum).toBeGreaterThanOrEqual(0);
    }
    expect(histograms.find(({ name }) => name === 'vllm:request_generation_tokens')).toMatchObject({
      labels: { model_name: 'default' },
      count: 3,
      sum: 18,
    });
  });

  it('counts what it took to read documents, each model for itself', async () => {
    const gateway = await startGateway({
      config: { ...defaultConfig, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 } },
      engine: createMockEngine(),
      embeddings: createMockEmbeddings(),
    });
    server = { ...server, [Symbol.asyncDispose]: () => gateway.drain() };
    const ask = async (mode: string) => {
      const body = { ...chatBody, max_tokens: 3, autoglm: { documents: { mode, texts: ['A few words. '.repeat(10)] } } };
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return (await response.json()) as {
        usage: { prompt_tokens: number; completion_tokens: number };
        autoglm: { documents: Record<string, number> };
      };
    };
    const [found, summarized] = [await ask('embed'), await ask('summarize')];
    const { value } = await scrape(gateway.url);
    const { summary_prompt_tokens: read = 0, summary_completion_tokens: written = 0 } = summarized.autoglm.documents;
    expect(value('vllm:prompt_tokens_total', { model_name: 'default' })).toBe(
      found.usage.prompt_tokens + summarized.usage.prompt_tokens + read,
    );
    expect(value('vllm:generation_tokens_total', { model_name: 'default' })).toBe(
      found.usage.completion_tokens + summarized.usage.completion_tokens + written,
    );
    expect(value('vllm:prompt_tokens_total', { model_name: 'mock-embeddings' })).toBe(found.autoglm.documents['embedded_tokens']);
    expect(Math.min(read, written, found.autoglm.documents['embedded_tokens'] ?? 0)).toBeGreaterThan(0);
  });

  it('counts the others where one cannot be counted', async () => {
    server = await startTestServer();
    const failures: unknown[] = [];
    const metrics = new Metrics({
      engines: () => [],
      window: undefined,
      sinks: [],
      settle: () => follower.settle(),
      isModel: (name) => {
        if (name === 'bad') throw new Error('no such catalog');
        return true;
      },
    });
    const follower = createFollower({
      observers: [],
      onProfile: (profile) => metrics.onProfile(profile),
      onFailure: (error) => failures.push((error as Error).message),
    });
    for (const model of ['a', 'bad', 'b']) {
      const { emit } = follower.follow({
        requestId: model,
        operation: 'chat',
        startedAtMs: 0,
        traceparent: undefined,
        tracestate: undefined,
      });
      emit({ type: 'request-parsed', model, stream: false, maxTokens: undefined, choiceCount: 1 });
      emit({ type: 'request-end', outcome: 'answered', status: 200 });
    }
    const { value } = readMetrics(await metrics.render());
    expect([value('autoglm_requests_total', { model_name: 'a' }), value('autoglm_requests_total', { model_name: 'b' })]).toEqual([1, 1]);
    expect(failures).toEqual(['no such catalog']);
  });

  it('counts requests that are more than are counted together', async () => {
    server = await startTestServer();
    const send = async () => void (await (await server.post('/v1/chat/completions', chatBody)).text());
    const counted = async () => (await scrape(server.url)).histograms.find(({ name }) => name === 'vllm:request_generation_tokens')?.count;
    await Promise.all(Array.from({ length: 70 }, send));
    expect(await counted()).toBe(70);
    await send();
    expect(await counted()).toBe(71);
  });

  it('counts known requests: tokens, choices, ends, operations, streams and not', async () => {
    server = await startTestServer();
    await (await server.post('/v1/chat/completions', chatBody)).text();
    const prompt = Number(
      (
        (await (await server.post('/v1/chat/completions', { ...chatBody, n: 2, max_tokens: 3 })).json()) as {
          usage: { prompt_tokens: number };
        }
      ).usage.prompt_tokens,
    );
    await (await server.post('/v1/chat/completions', { ...chatBody, stream: true })).text();
    await (await server.post('/v1/completions', { model: 'default', prompt: [1, 2, 3] })).text();
    await (await server.post('/v1/chat/completions', { model: 'default', messages: 'no list' })).text();
    await until(async () => (await scrape(server.url)).value('autoglm_active_requests') === 0);
    const { value, count } = await scrape(server.url);
    const model = { model_name: 'default' };
    expect(value('vllm:generation_tokens_total', model)).toBe(6 + 2 * 3 + 6 + 6);
    expect(value('vllm:prompt_tokens_total', model)).toBe(3 * prompt + 3);
    expect(value('vllm:request_success_total', { ...model, finished_reason: 'stop' })).toBe(3);
    expect(value('vllm:request_success_total', { ...model, finished_reason: 'length' })).toBe(2);
    for (const name of [
      'vllm:e2e_request_latency_seconds',
      'vllm:time_to_first_token_seconds',
      'vllm:request_time_per_output_token_seconds',
      'vllm:request_queue_time_seconds',
    ])
      expect([name, count(name, model)]).toEqual([name, 4]);
    expect(count('gen_ai_server_request_duration_seconds', { gen_ai_operation_name: 'chat', gen_ai_request_model: 'default' })).toBe(3);
    expect(count('gen_ai_server_request_duration_seconds', { gen_ai_operation_name: 'text_completion' })).toBe(1);
    expect(count('gen_ai_server_request_duration_seconds', { error_type: 'invalid_value' })).toBe(1);
    expect(value('autoglm_requests_total', { outcome: 'answered', status: '200' })).toBe(4);
    expect(value('autoglm_requests_total', { outcome: 'failed', status: '400', code: 'invalid_value', model_name: 'other' })).toBe(1);
    expect(count('autoglm_segment_duration_seconds', { segment: 'decode' })).toBe(4);
    expect(value('autoglm_observer_failures_total')).toBe(0);
  });

  it('gives names that nobody serves one label, and knows a model that cannot answer yet', async () => {
    const gate = createGate();
    server = await startTestServer({ loaded: gate.passed }, { ready_timeout_ms: 1 });
    for (let index = 0; index < 20; index += 1)
      expect((await server.post('/v1/chat/completions', { ...chatBody, model: `made-up-${index}` })).status).toBe(404);
    expect((await server.post('/v1/chat/completions', chatBody)).status).toBe(503);
    const early = await scrape(server.url);
    expect(early.text).not.toContain('made-up');
    expect(early.value('autoglm_requests_total', { model_name: 'other', code: 'model_not_found' })).toBe(20);
    expect(early.value('autoglm_requests_total', { model_name: 'default', code: 'engine_unavailable' })).toBe(1);
    expect(early.value('autoglm_engine_state', { engine: 'mock', model_name: 'default', tier: 'edge', state: 'starting' })).toBe(1);
    gate.open();
    await until(() => server.engine.status.state === 'ready');
    const { value } = await scrape(server.url);
    expect(value('autoglm_engine_state', { state: 'ready' })).toBe(1);
    expect(value('autoglm_engine_state', { state: 'starting' })).toBe(0);
  });

  it('counts what is under way, and those who leave as abandoned', async () => {
    const gate = createGate();
    server = await startTestServer({ beforeToken: (index) => (index === 2 ? gate.passed : undefined) });
    const leaving = new AbortController();
    const response = await server.post('/v1/chat/completions', { ...chatBody, stream: true }, { signal: leaving.signal });
    expect((await scrape(server.url)).value('autoglm_active_requests')).toBe(1);
    leaving.abort();
    await response.text().catch(() => {});
    await until(() => server.engine.runningCount === 0);
    await until(async () => (await scrape(server.url)).value('autoglm_active_requests') === 0);
    const { value, count } = await scrape(server.url);
    expect(value('autoglm_requests_total', { outcome: 'abandoned', status: '499', model_name: 'default' })).toBe(1);
    expect(count('vllm:e2e_request_latency_seconds')).toBe(0);
  });

  it('is not there when it is switched off, and requests are told their time nevertheless', async () => {
    server = await startTestServer({}, {}, {}, { metrics: { enabled: false }, diagnosis: { enabled: false } });
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
    const response = await server.post('/v1/chat/completions', chatBody);
    expect(response.headers.get('server-timing')).toContain('total;dur=');
  });

  it('says nothing of bottlenecks when nobody diagnoses', async () => {
    server = await startTestServer({}, {}, {}, { diagnosis: { enabled: false } });
    expect((await scrape(server.url)).text).not.toContain('bottleneck');
  });

  it('answers HEAD and refuses other methods', async () => {
    server = await startTestServer();
    const head = await fetch(`${server.url}/metrics`, { method: 'HEAD' });
    expect(head.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect((await fetch(`${server.url}/metrics`, { method: 'POST' })).status).toBe(405);
  });
});

/** What is wrong with a family by Prometheus' naming rules. */
function wrongsOf({ name, help, type }: Family): string[] {
  const wrongs: string[] = [];
  const is = (wrong: boolean, text: string) => wrong && wrongs.push(`${name} (${type}): ${text}`);
  is(!/^[a-z][a-z0-9_]*(:[a-z0-9_]+)?$/.test(name), 'is no name of the field');
  is(help.trim() === '', 'has no help');
  is(type === 'UNTYPED' || type === 'SUMMARY', 'has no type that adds up');
  is((type === 'COUNTER') !== name.endsWith('_total'), 'has the wrong ending for its type');
  is(/_(ms|milliseconds|microseconds|kb|mb|percent)(_|$)/.test(name), 'is not in a base unit');
  is(/duration|latency|time_to|lag/.test(name) && !name.includes('_seconds'), 'is a time without _seconds');
  is(/memory|heap/.test(name) && !name.endsWith('_bytes') && !name.endsWith('_ratio'), 'is a size without _bytes');
  is(/seconds/.test(help) && !name.includes('seconds'), 'is in seconds and does not say so');
  is(/bytes/.test(help) && !name.endsWith('_bytes'), 'is in bytes and does not say so');
  return wrongs;
}
