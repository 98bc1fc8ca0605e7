import { Opened } from '@open-autoglm/gateway/parts';
import { cpuMicroseconds, startBeside, startGateway, startLoad, startPortkey, type Served } from '../gateway/processes.ts';
import { answerChunks, type LoopResult, type LoopTask } from '../gateway/protocol.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure, type FigureInput } from '../harness/report.ts';
import { median } from '@open-autoglm/statistics';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const concurrencies = [1, 16, 64] as const;
const durationMs = 500;
const warmups = 1;
/**
 * Of each contestant, for whole answers and for streams. V8 compiles the gateway's path for some 8 s of full load; until then a request
 * costs up to twice as much.
 */
const warmUpMs = 8000;
/** The sequential protocol by which gateways are compared in public: rounds of a few requests, one after the other. */
const sequentialRounds = 7;
const sequentialRequests = 25;

/** The gateway as a proxy before one fake backend, everything on: routing, metrics, diagnosis. */
export const gatewaySuite: Suite = {
  name: 'gateway',
  description: 'our gateway before a fake backend against a bare proxy and against Portkey’s: requests a second, CPU, latency',
  needsNoModel: true,
  async run(options) {
    const bench = await openBench(options);
    try {
      await warmUp(bench, options);
      const figures: Figure[] = [];
      for (const stream of [false, true])
        for (const concurrency of concurrencies) figures.push(...(await measureLoop(bench, options, stream, concurrency)));
      figures.push(...(await measureSequential(bench, options)));
      return {
        settings: { runs: options.runs, 'ms of each measurement': durationMs, 'chunks of a stream': answerChunks },
        figures,
        notes: [...notes, bench.peer ? peerNotes.measured : peerNotes.missing],
      };
    } finally {
      await bench.close();
    }
  },
};

const notes = [
  'Backend, client and every contestant are processes of their own and share the cores. The client keeps so many requests under way at once.',
  'Ours is `autoglm serve`, which puts Node’s own code into large pages by itself; the others run as Node starts them.',
  'CPU is the processor time of the contestant’s own process for each request. The bare proxy is node:http in front of an undici pool that passes bytes on and reads nothing.',
  'Added: the median of a request through the gateway, less that of one straight to the backend, of the same round; the bare proxy’s is the least that a second hop costs on this machine.',
  `Every contestant has answered for ${(2 * warmUpMs) / 1000} s before the first measurement.`,
];
const peerNotes = {
  measured:
    '@portkey-ai/gateway 1.15.2, headless, its provider openai with the fake backend as custom host; a copy of each response makes its headers changeable, without which all of its streams fail.',
  missing: '@portkey-ai/gateway is not installed (npm install in bench/peers/portkey): it was not measured.',
} as const;

interface Bench {
  readonly backend: Served;
  readonly bare: Served;
  readonly ours: Served;
  readonly peer: Served | undefined;
  readonly load: ReturnType<typeof startLoad>;
  readonly waker: CoreWaker;
  close(): Promise<void>;
}

async function openBench({ onProgress }: SuiteOptions): Promise<Bench> {
  onProgress('starting the contestants');
  const opened = new Opened();
  const stop = (process: Served) => process.stop();
  try {
    const backend = opened.add(await startBeside('./fake-backend-process.ts'), stop);
    const bare = opened.add(await startBeside('./bare-proxy-process.ts', backend.url), stop);
    const ours = opened.add(await startGateway({ engines: [{ kind: 'openai', url: `${backend.url}/v1`, model: 'bench' }] }), stop);
    const peer = opened.add(await startPortkey(), stop);
    const load = opened.add(startLoad(), (process) => process.close());
    const waker = opened.add(new CoreWaker(), (cores) => cores.close());
    return { backend, bare, ours, peer, load, waker, close: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** What one measurement of one contestant gave. */
interface Sample {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
  readonly p50Ms: number;
}

const body = (stream: boolean) => ({
  model: 'bench',
  ...(stream && { stream: true }),
  messages: [{ role: 'user', content: 'What is the capital of China?' }],
});

/** Throws when a request failed: the figures would be of something else. */
async function loop(
  { backend, peer, load }: Bench,
  contestant: Served,
  task: Pick<LoopTask, 'body' | 'concurrency' | 'durationMs' | 'requestsMax'>,
): Promise<LoopResult> {
  const headers: Record<string, string> =
    contestant === peer
      ? { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${backend.url}/v1`, authorization: 'Bearer none' }
      : {};
  const result = await load.run({ url: contestant.url, headers, ...task });
  if (result.failed > 0)
    throw new Error(`${result.failed} requests to ${contestant.child.spawnargs.slice(1).join(' ')} failed: ${result.failure}`);
  return result;
}

/** Servers run for days: what V8 has not compiled yet is not what is measured. */
async function warmUp(bench: Bench, { onProgress }: SuiteOptions): Promise<void> {
  onProgress('warming up');
  for (const contestant of [bench.ours, bench.bare, ...(bench.peer ? [bench.peer] : [])]) {
    for (const stream of [false, true]) await loop(bench, contestant, { body: body(stream), concurrency: 16, durationMs: warmUpMs });
  }
}

async function measureLoop(bench: Bench, { runs, onProgress }: SuiteOptions, stream: boolean, concurrency: number): Promise<Figure[]> {
  const name = `${stream ? 'streams' : 'answers'}, c = ${concurrency}`;
  onProgress(name);
  const contestants = [bench.ours, bench.bare, ...(bench.peer ? [bench.peer] : [])];
  const samples = contestants.map((): Sample[] => []);
  const measures = contestants.map((contestant, index) => async () => {
    const before = cpuMicroseconds(contestant.pid);
    const { latenciesMs, elapsedMs } = await loop(bench, contestant, { body: body(stream), concurrency, durationMs });
    const sample = {
      perSecond: (latenciesMs.length * 1000) / elapsedMs,
      cpuMicroseconds: (cpuMicroseconds(contestant.pid) - before) / latenciesMs.length,
      p50Ms: median(latenciesMs),
    };
    samples[index]?.push(sample);
    return sample.perSecond;
  });
  await interleave(measures, { runs, warmups, settle: () => bench.waker.wake() });
  const [ours = [], bare = [], peer] = samples.map((each) => each.slice(-runs));
  const line = (
    what: string,
    unit: FigureInput['unit'],
    field: keyof Sample,
    against: readonly [string, readonly Sample[]],
    goal?: FigureInput['goal'],
  ) =>
    figure({
      name: `${name}: ${what}`,
      unit,
      samples: ours.map((sample) => sample[field]),
      reference: { name: against[0], samples: against[1].map((sample) => sample[field]) },
      goal,
    });
  return [
    line('requests', 'req/s', 'perSecond', ['bare proxy', bare]),
    line('CPU a request', 'µs', 'cpuMicroseconds', ['bare proxy', bare], { below: 2 }),
    line('p50', 'ms', 'p50Ms', ['bare proxy', bare]),
    ...(peer
      ? [
          line('requests', 'req/s', 'perSecond', ['Portkey', peer], { atLeast: 8 }),
          line('CPU a request', 'µs', 'cpuMicroseconds', ['Portkey', peer], { below: 0.1 }),
        ]
      : []),
  ];
}

/** Medians of requests one after the other, less those straight to the backend, of the same round. */
interface Added {
  readonly ours: number;
  readonly bare: number;
}

async function measureSequential(bench: Bench, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('one after the other');
  const addedBy = async (task: Pick<LoopTask, 'durationMs' | 'requestsMax'>): Promise<Added> => {
    const p50 = async (contestant: Served) =>
      median((await loop(bench, contestant, { body: body(false), concurrency: 1, ...task })).latenciesMs);
    const direct = await p50(bench.backend);
    return { ours: (await p50(bench.ours)) - direct, bare: (await p50(bench.bare)) - direct };
  };
  const steady: Added[] = [];
  const sequential: Added[] = [];
  for (let run = -warmups; run < runs; run += 1) {
    await bench.waker.wake();
    const added = await addedBy({ durationMs });
    const rounds: Added[] = [];
    for (let round = 0; round < sequentialRounds; round += 1)
      rounds.push(await addedBy({ durationMs: 60_000, requestsMax: sequentialRequests }));
    if (run < 0) continue;
    steady.push(added);
    sequential.push({ ours: median(rounds.map(({ ours }) => ours)), bare: median(rounds.map(({ bare }) => bare)) });
  }
  const lines = (name: string, samples: readonly Added[], below: number) => [
    figure({ name, unit: 'ms', samples: samples.map(({ ours }) => ours), goal: { below } }),
    figure({ name: `${name}, by the bare proxy`, unit: 'ms', samples: samples.map(({ bare }) => bare) }),
  ];
  return [
    ...lines('added p50, c = 1', steady, 0.15),
    ...lines(`added p50, ${sequentialRounds} × ${sequentialRequests} in a row`, sequential, 0.4),
  ];
}
