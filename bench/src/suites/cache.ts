import { createRandom, median } from '@open-autoglm/statistics';
import { request } from 'undici';
import { startRedis, zipf } from '../cache/parts.ts';
import { cpuMicroseconds, startBeside, startGateway, startLoad, type Served } from '../gateway/processes.ts';
import type { LoopResult, LoopTask } from '../gateway/protocol.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const durationMs = 1000;
const warmUpMs = 2000;
const keyCount = 10_000;
/** Those that were asked before the warm measurement; of Zipf(1.0) they are 93 % of the questions. */
const warmCount = 5000;
const clients = 16;
const zipfMs = 10_000;
const answerTokens = 8;
const stampede = 500;
/** More than the memory of the gateway that is to ask Redis can hold. */
const redisKeys = 2000;

type Load = ReturnType<typeof startLoad>;

/** What an answer costs that is known already. */
export const cacheSuite: Suite = {
  name: 'cache',
  description: 'exact hits from memory and Redis, 500 misses on one key at once, and Zipf(1.0) questions over 10,000 keys with the default model',
  needsNoModel: true,
  runsMax: 5,
  parts: ['hits', 'redis', 'stampede', 'zipf'],
  async run(options) {
    const redis = await startRedis();
    const load = startLoad();
    const waker = new CoreWaker();
    const wants = (part: string) => options.parts.size === 0 || options.parts.has(part);
    const figures: Figure[] = [];
    try {
      if (wants('hits')) figures.push(...(await withFakeBackend({}, (bench) => measureHits(bench, load, waker, options))));
      if (wants('redis') && redis) figures.push(...(await withFakeBackend({ redis_url: redis.url, redis_timeout_ms: 1000, max_bytes: 65_536 }, (bench) => measureRedis(bench, load, waker, options))));
      if (wants('stampede')) figures.push(...(await withFakeBackend({}, (bench) => measureStampede(bench, load, options))));
      if (wants('zipf')) figures.push(...(await measureZipf(load, options)));
    } finally {
      load.close();
      await waker.close();
      await redis?.stop();
    }
    return {
      settings: { runs: options.runs, keys: keyCount, clients, 'tokens of an answer': answerTokens },
      figures,
      notes: redis ? notes : [...notes, 'redis-server is not installed: hits in Redis were not measured.'],
    };
  },
};

const notes = [
  'Client, gateway, backend and Redis are processes of their own and share the cores. “Added” is the median through the gateway less that of a bare node:http server which answers as much at once.',
  'Hits in Redis: 2,000 questions in turn through a gateway whose memory holds a few dozen answers, so that each hit is Redis’.',
  `Zipf: ${clients} clients ask for ${answerTokens} tokens, greedily, for ${zipfMs / 1000} s each time. Cold starts with an empty cache; warm, when the ${warmCount} likeliest of the ${keyCount} questions were asked before (93 % of what follows).`,
];

interface Bench {
  readonly backend: Served;
  readonly gateway: Served;
}

async function withFakeBackend(cache: object, measure: (bench: Bench) => Promise<Figure[]>): Promise<Figure[]> {
  const backend = await startBeside('./fake-backend-process.ts');
  const gateway = await startGateway({ engines: [{ kind: 'openai', url: `${backend.url}/v1`, model: 'bench' }], cache: { enabled: true, ttl_seconds: 3600, ...cache } });
  try {
    return await measure({ backend, gateway });
  } finally {
    await Promise.all([gateway.stop(), backend.stop()]);
  }
}

const question = (text: string) => ({ model: 'bench', temperature: 0, messages: [{ role: 'user', content: text }] });

/** Throws when a request failed: the figures would be of something else. */
async function loop(load: Load, served: Served, task: Omit<LoopTask, 'url' | 'headers'>): Promise<LoopResult> {
  const result = await load.run({ url: served.url, headers: {}, ...task });
  if (result.failed > 0) throw new Error(`${result.failed} requests failed: ${result.failure}`);
  return result;
}

async function measureHits({ backend, gateway }: Bench, load: Load, waker: CoreWaker, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const stream of [false, true]) {
    onProgress(`hits in memory, ${stream ? 'streams' : 'answers'}`);
    const body = { ...question('What is the capital of China?'), stream };
    await loop(load, gateway, { body, concurrency: 16, durationMs: warmUpMs });
    const [added, costs]: [number[], number[]] = [[], []];
    for (let run = 0; run < runs; run += 1) {
      await waker.wake();
      const direct = median((await loop(load, backend, { body, concurrency: 1, durationMs })).latenciesMs);
      added.push(median((await loop(load, gateway, { body, concurrency: 1, durationMs })).latenciesMs) - direct);
      const before = cpuMicroseconds(gateway.pid);
      const { latenciesMs } = await loop(load, gateway, { body, concurrency: 16, durationMs });
      costs.push((cpuMicroseconds(gateway.pid) - before) / latenciesMs.length);
    }
    const name = `exact hit, memory, ${stream ? 'stream of 52 chunks' : 'whole answer'}`;
    figures.push(
      figure({ name: `${name}: p50 added, c = 1`, unit: 'ms', samples: added, goal: stream ? undefined : { below: 0.15 } }),
      figure({ name: `${name}: CPU a request, c = 16`, unit: 'µs', samples: costs, goal: stream ? undefined : { below: 120 } }),
    );
  }
  return figures;
}

async function measureRedis({ gateway }: Bench, load: Load, waker: CoreWaker, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('hits in Redis');
  const bodies = Array.from({ length: redisKeys }, (_, index) => question(`Question ${index}: what is the capital of China?`));
  const order = bodies.map((_, index) => index);
  const ask = (concurrency: number, requestsMax: number) => loop(load, gateway, { body: {}, bodies, order, concurrency, durationMs: 60_000, requestsMax });
  // A few at a time, so that the queue to Redis never is full; then as many again, so that V8 has compiled the way there.
  await ask(4, redisKeys);
  await ask(4, redisKeys);
  const before = await lookups(gateway);
  const samples: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await waker.wake();
    samples.push(median((await ask(1, redisKeys)).latenciesMs));
  }
  const after = await lookups(gateway);
  if (after.miss !== before.miss) throw new Error(`${after.miss - before.miss} answers were not in Redis`);
  return [figure({ name: 'exact hit, Redis on loopback: p50, c = 1', unit: 'ms', samples, goal: { below: 0.6 } })];
}

async function measureStampede({ backend, gateway }: Bench, load: Load, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress(`${stampede} misses on one key`);
  backend.child.send({ delayMs: 300 });
  const samples: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const before = await lookups(gateway);
    await loop(load, gateway, { body: question(`A question that nobody has asked in round ${run}`), concurrency: stampede, durationMs: 60_000, requestsMax: stampede });
    const after = await lookups(gateway);
    samples.push(after.miss - before.miss);
  }
  return [figure({ name: `${stampede} concurrent misses on one key: computations`, unit: 'requests', samples, goal: { below: 1.5 } })];
}

async function measureZipf(load: Load, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const bodies = Array.from({ length: keyCount }, (_, index) => ({ ...question(`What is ${index} plus ${(index * 7919) % 1000}?`), model: 'default', max_tokens: answerTokens }));
  const [cold, warm, off]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run < runs; run += 1) {
    const order = zipf(keyCount, 200_000, createRandom(run + 1));
    const rate = async (served: Served) => {
      const { latenciesMs, elapsedMs } = await loop(load, served, { body: {}, bodies, order, concurrency: clients, durationMs: zipfMs });
      return (latenciesMs.length * 1000) / elapsedMs;
    };
    onProgress(`Zipf, cache off, round ${run + 1} of ${runs}`);
    off.push(await withDefaultModel({ enabled: false }, rate));
    await withDefaultModel({ enabled: true, ttl_seconds: 3600 }, async (served) => {
      onProgress(`Zipf, cold, round ${run + 1} of ${runs}`);
      cold.push(await rate(served));
      onProgress(`Zipf, asking the ${warmCount} likeliest, round ${run + 1} of ${runs}`);
      await loop(load, served, { body: {}, bodies, order: Array.from({ length: warmCount }, (_, index) => index), concurrency: clients, durationMs: 600_000, requestsMax: warmCount });
      onProgress(`Zipf, warm, round ${run + 1} of ${runs}`);
      warm.push(await rate(served));
    });
  }
  const line = (name: string, samples: readonly number[], goal?: { readonly atLeast: number }) =>
    figure({ name, unit: 'req/s', samples, reference: { name: 'cache off', value: median(off), samples: off }, goal });
  return [line(`Zipf(1.0), ${clients} clients, cold`, cold), line(`Zipf(1.0), ${clients} clients, warm`, warm, { atLeast: 10 })];
}

async function withDefaultModel<T>(cache: object, use: (served: Served) => Promise<T>): Promise<T> {
  const served = await startGateway({ cache });
  try {
    return await use(served);
  } finally {
    await served.stop();
  }
}

/** How often the cache had no answer. */
async function lookups({ url }: Served): Promise<{ readonly miss: number }> {
  const { body } = await request(`${url}/metrics`);
  const text = await body.text();
  return { miss: Number(/^autoglm_response_cache_lookups_total\{result="miss"\} (\d+)$/m.exec(text)?.[1]) };
}

