import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { kvUsageOf, watchKvUsage } from '../../src/ablation/kv-watch.ts';
import { replayTrace } from '../../src/ablation/replay-process.ts';
import { configOf, kvCacheBytes, variants } from '../../src/ablation/variants.ts';

it('the variants differ in weights and batching, and in nothing else', () => {
  const configs = variants.map(
    (variant) => (JSON.parse(configOf(variant)) as { readonly model_config: Readonly<Record<string, unknown>> }).model_config,
  );
  const { quantization: _, enable_continuous_batching: __, ...rest } = configs[0] ?? {};
  expect(rest).toMatchObject({ kv_cache_bytes: kvCacheBytes });
  expect(configs).toEqual([
    { ...rest, quantization: 'int8', enable_continuous_batching: true },
    { ...rest, quantization: 'int8', enable_continuous_batching: false },
    { ...rest, quantization: 'none', enable_continuous_batching: true },
    { ...rest, quantization: 'none', enable_continuous_batching: false },
  ]);
});

it('reads the KV usage of metrics, the largest of several engines', () => {
  expect(
    kvUsageOf(
      '# HELP vllm:kv_cache_usage_perc KV\nvllm:kv_cache_usage_perc{model_name="a"} 0.25\nvllm:kv_cache_usage_perc{model_name="b"} 1.5e-1\n',
    ),
  ).toBe(0.25);
  expect(kvUsageOf('other 3\n')).toBe(0);
});

it('watches the usage while something runs, and forgives a server that does not answer', async () => {
  const told = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    response.end('vllm:kv_cache_usage_perc 0.5\n');
    response.on('finish', () => told.resolve());
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await watchKvUsage(`http://127.0.0.1:${port}`, async () => (await told.promise, 'done'))).toMatchObject({ result: 'done' });
  expect(await watchKvUsage('http://127.0.0.1:1', async () => 'done')).toEqual({ result: 'done', peak: 0 });
});

it('tells what the replay said when it fails', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const trace = path.join(folder, 'trace.jsonl');
  await writeFile(trace, '{"t": 0, "prompt_tokens": 5, "output_tokens": 5}\n');
  const load = {
    trace,
    url: 'http://127.0.0.1:1',
    rate: 1,
    limit: 1,
    promptScale: 1,
    outputScale: 1,
    slo: { ttftMs: 1000, tpotMs: 50 },
    timeoutMs: 1000,
    body: {},
    seed: 1,
  };
  await expect(replayTrace(load)).rejects.toThrow(/the replay ended with \d: .*127\.0\.0\.1:1/s);
});
