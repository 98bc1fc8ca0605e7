import { median } from '@open-autoglm/statistics';
import { loop, lookups, question, type Load } from '../cache/asking.ts';
import { measureEmbeddings } from '../cache/embeddings.ts';
import { startRedis } from '../cache/parts.ts';
import { measurePrefetch } from '../cache/prefetch.ts';
import { measureZipf } from '../cache/zipf.ts';
import { answersOf, cpuMicroseconds, startBeside, startGateway, startLoad, type Served } from '../gateway/processes.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const durationMs = 1000;
const warmUpMs = 2000;
const stampede = 500;
/** More than the memory of the gateway that is to ask Redis can hold. */
const redisKeys = 2000;

/** What an answer costs that is known already. */
export const cacheSuite: Suite = {
  name: 'cache',
  description:
    'exact hits from memory and Redis, 500 misses on one key at once, Zipf(1.0) questions over 10,000 keys with the default model, follow-ups computed ahead, embeddings of known texts',
  needsNoModel: true,
  runsMax: 5,
  parts: ['hits', 'redis', 'stampede', 'zipf', 'prefetch', 'embeddings'],
  async run(options) {
    const redis = await startRedis();
    const load = startLoad();
    const waker = new CoreWaker();
    const wants = (part: string) => options.parts.size === 0 || options.parts.has(part);
    const figures: Figure[] = [];
    const told = [...notes];
    const add = (measured: { readonly figures: readonly Figure[]; readonly notes: readonly string[] }) =>
      void (figures.push(...measured.figures), told.push(...measured.notes));
    try {
      if (wants('hits')) figures.push(...(await withFakeBackend({}, (bench) => measureHits(bench, load, waker, options))));
      if (wants('redis') && redis)
        figures.push(
          ...(await withFakeBackend({ redis_url: redis.url, redis_timeout_ms: 1000, max_bytes: 65_536 }, (bench) =>
            measureRedis(bench, load, waker, options),
          )),
        );
      if (wants('stampede')) figures.push(...(await withFakeBackend({}, (bench) => measureStampede(bench, load, options))));
      if (wants('zipf')) add(await measureZipf(load, options));
      if (wants('prefetch')) add(await measurePrefetch(options));
      if (wants('embeddings')) add(await measureEmbeddings(options));
    } finally {
      load.close();
      await waker.close();
      await redis?.stop();
    }
    return {
      settings: { runs: options.runs },
      figures,
      notes: redis ? told : [...told, 'redis-server is not installed: hits in Redis were not measured.'],
    };
  },
};

const notes = [
  'Client, gateway, backend and Redis are processes of their own and share the cores. “Added” is the median through the gateway less that of a bare node:http server which answers as much at once, but writes a stream chunk by chunk: a hit’s may come sooner.',
  'Hits in Redis: 2,000 questions in turn through a gateway whose memory holds a few dozen answers, so that each hit is Redis’.',
];

interface Bench {
  readonly backend: Served;
  readonly gateway: Served;
}

async function withFakeBackend(cache: object, measure: (bench: Bench) => Promise<Figure[]>): Promise<Figure[]> {
  const backend = await startBeside('./fake-backend-process.ts');
  const gateway = await startGateway({
    engines: [{ kind: 'openai', url: `${backend.url}/v1`, model: 'bench' }],
    cache: { enabled: true, ttl_seconds: 3600, ...cache },
  });
  try {
    return await measure({ backend, gateway });
  } finally {
    await Promise.all([gateway.stop(), backend.stop()]);
  }
}

async function measureHits(
  { backend, gateway }: Bench,
  load: Load,
  waker: CoreWaker,
  { runs, onProgress }: SuiteOptions,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const stream of [false, true]) {
    onProgress(`hits in memory, ${stream ? 'streams' : 'answers'}`);
    const body = { ...question('What is the capital of China?'), stream };
    await loop(load, gateway, { body, concurrency: 16, durationMs: warmUpMs });
    const [added, costs]: [number[], number[]] = [[], []];
    for (let run = 0; run < runs; run += 1) {
      await waker.wake();
      const direct = median((await loop(load, backend, { body, concurrency: 1, durationMs })).latenciesMs);
      const asked = await answersOf(backend);
      added.push(median((await loop(load, gateway, { body, concurrency: 1, durationMs })).latenciesMs) - direct);
      const before = cpuMicroseconds(gateway.pid);
      const { latenciesMs } = await loop(load, gateway, { body, concurrency: 16, durationMs });
      costs.push((cpuMicroseconds(gateway.pid) - before) / latenciesMs.length);
      const missed = (await answersOf(backend)) - asked;
      if (missed > 0) throw new Error(`${missed} answers were no hits`);
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
  const ask = (concurrency: number, requestsMax: number) =>
    loop(load, gateway, { body: {}, bodies, order, concurrency, durationMs: 60_000, requestsMax });
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
    const before = await answersOf(backend);
    await loop(load, gateway, {
      body: question(`A question that nobody has asked in round ${run}`),
      concurrency: stampede,
      durationMs: 60_000,
      requestsMax: stampede,
    });
    samples.push((await answersOf(backend)) - before);
  }
  return [figure({ name: `${stampede} concurrent misses on one key: computations`, unit: 'requests', samples, goal: { below: 1.5 } })];
}
