import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { createRandom, quantile } from '@open-autoglm/statistics';
import { runLaneLoad, type LoadOutcome } from '../admission/lane-load.ts';
import { makeSchedule, type Due, type Lane } from '../admission/lane-schedule.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure, type FigureInput } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { noEarlyEnd } from '../load/no-early-end.ts';
import { memoryOfTree } from '../server/memory.ts';
import { startServer, type RunningServer } from '../server/server-process.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const trace = fileURLToPath(new URL('../../../../shared/data/traces/azure-conversation-2023.jsonl', import.meta.url));
const scales = { promptScale: 1 / 8, outputScale: 1 / 4 };
/** Sequences at once. */
const places = 16;
const loads = [0.9, 1.1] as const;
/** Of the trace, by chance; the rest is of the batch lane, and so is what waits there at the beginning. */
const realtimeShare = 0.4;
/** Requests of the batch lane at the beginning: they take all places, and as many again wait, twice. */
const backlog = 3 * places;
/** Requests at once, to find out the capacity, and as many before them, to warm the server up. */
const burst = 48;
const overload = 10;
/** What an answer must be complete in, when the server is offered ten times what it can do. */
const deadlineMs = 10_000;
/** A clock of another process, and steps that have begun, are no overtaking. */
const overtakingMs = 250;
const agingMs = 5000;

interface Variant {
  readonly name: string;
  readonly admission: object;
  readonly tellsLanes: boolean;
}

/** Nobody is refused, so that all do the same work. */
const patient = { max_wait_ms: 3_600_000 };
const fcfs: Variant = { name: 'first come, first served', admission: { ...patient, policy: 'fcfs' }, tellsLanes: false };
const lanes: Variant = { name: 'lanes', admission: patient, tellsLanes: true };
const slices: Variant = { name: 'lanes, time slices', admission: { ...patient, lanes: { batch_yields: 'time_slice' } }, tellsLanes: true };
const orders: readonly Variant[] = (['mlfq', 'srtf'] as const).map((policy) => ({
  name: policy,
  admission: { ...patient, policy },
  tellsLanes: false,
}));

/** Who is served first when not all can be: lanes, orders, and ten times too much. */
export const admissionSuite: Suite = {
  name: 'admission',
  description: 'the Azure trace at 90 and 110 % of capacity: real time beside batch, MLFQ and SRTF against first come; ten times too much',
  runsMax: 3,
  parts: ['lanes', 'slices', 'orders', 'overload'],
  numbers: [
    { name: 'seconds', description: 'of each load', default: 7 },
    { name: 'overload-seconds', description: 'of ten times too much', default: 60 },
  ],
  async run(options) {
    const seconds = options.numbers['seconds'] as number;
    const overloadSeconds = options.numbers['overload-seconds'] as number;
    const settings = {
      model: options.model,
      threads: options.threads,
      runs: options.runs,
      seconds,
      'seconds of overload': overloadSeconds,
    };
    if (!existsSync(trace))
      return {
        settings,
        figures: [],
        notes: [],
        warnings: [`Nothing was measured: there is no trace ${path.relative(process.cwd(), trace)}.`],
      };
    const bench = await openBench(options, seconds);
    try {
      const capacity = await measureCapacity(bench);
      const figures = [
        ...(options.parts.has('lanes') ? await measureLanes(bench, capacity, lanes) : []),
        ...(options.parts.has('slices') ? await measureLanes(bench, capacity, slices) : []),
        ...(options.parts.has('orders') ? await measureOrders(bench, capacity) : []),
        ...(options.parts.has('overload') ? await measureOverload({ ...bench, seconds: overloadSeconds }, capacity) : []),
      ];
      return {
        settings: { ...settings, 'capacity, requests/s': Math.round(capacity * 100) / 100 },
        figures,
        notes,
        warnings: [...bench.warnings],
      };
    } finally {
      await bench.close();
    }
  },
};

const notes = [
  `The first requests of Azure’s conversation trace of 2023, in its own bursts; prompts an eighth as long, answers a quarter as long, and none ends early (logit_bias). Capacity: requests a second of ${burst} that came at once.`,
  `Lanes: ${realtimeShare * 100} % of the requests, by chance, are in real time; the others are of the batch lane, which also has ${backlog} at the beginning for the server’s ${places} places, so that it always has more to do. First come, first served is told of no lanes. Both get the same requests at the same times. Batch throughput: its tokens over the time until its last answer; by then either way has served the same requests in real time, which a shorter time would leave to first come, first served.`,
  `Orders: all requests in one lane, none refused. Overtaken: requests that had waited for the aging bound (admission.aging_ms: ${agingMs}) when one that came later began, by more than ${overtakingMs} ms; how many waited for so long says whether anybody could have been. Aging bounds who goes before, not the wait: at 110 % everybody waits for long, and only refusing (admission.max_wait_ms, deadlines) helps.`,
  `Ten times too much: every request has a deadline of ${deadlineMs} ms; goodput is of answers that were complete by it, against the same server at its capacity: in requests, in tokens of answers, and in all that the engine read and wrote for them. The goal is of the last, since a server that must refuse prefers short answers, whose prompts are as long as others’. Memory: the gateway’s resident set, the most of the last fifth of the time against the most of the second.`,
];

interface Bench {
  readonly options: SuiteOptions;
  readonly seconds: number;
  readonly folder: string;
  readonly body: object;
  readonly vocabularySize: number;
  readonly waker: CoreWaker;
  readonly warnings: Set<string>;
  /** Requests that were sent so far: no prompt is sent twice. */
  readonly sent: { count: number };
  close(): Promise<void>;
}

async function openBench(options: SuiteOptions, seconds: number): Promise<Bench> {
  options.onProgress('preparing the model');
  const { path: modelPath } = await resolveModel({ model: options.model, home: defaultHome() });
  const { vocabularySize, body } = await noEarlyEnd(modelPath, options.threads);
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const waker = new CoreWaker();
  return {
    options,
    seconds,
    folder,
    waker,
    vocabularySize,
    body,
    warnings: new Set(),
    sent: { count: 0 },
    async close() {
      await waker.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function openServer({ options: { model, threads }, folder }: Bench, admission: object, maxQueue: number): Promise<RunningServer> {
  const config = path.join(folder, 'config.yaml');
  await writeFile(config, JSON.stringify({ model_config: { max_batch_size: places, max_queue: maxQueue }, admission }));
  return startServer({ model, threads, config }, folder);
}

async function withServer<T>(bench: Bench, admission: object, maxQueue: number, work: (server: RunningServer) => Promise<T>): Promise<T> {
  const server = await openServer(bench, admission, maxQueue);
  try {
    await bench.waker.wake();
    return await work(server);
  } finally {
    await server.stop();
  }
}

const everybody = 10_000;

function runLoad(
  bench: Bench,
  { url }: RunningServer,
  schedule: readonly Due[],
  { tellsLanes, deadline }: { readonly tellsLanes: boolean; readonly deadline?: number },
): Promise<readonly LoadOutcome[]> {
  const firstPrompt = bench.sent.count;
  bench.sent.count += schedule.length;
  return runLaneLoad({
    url,
    schedule,
    firstPrompt,
    vocabularySize: bench.vocabularySize,
    body: bench.body,
    tellsLanes,
    deadlineMs: deadline,
  });
}

function measureCapacity(bench: Bench): Promise<number> {
  bench.options.onProgress('capacity');
  return withServer(bench, fcfs.admission, everybody, async (server) => {
    const schedule = makeSchedule({ trace, ...scales, rate: burst, seconds: 1, realtimeShare: 1, backlog: 0, random: createRandom(1) }).map(
      (due) => ({ ...due, atMs: 0 }),
    );
    // The first burst also warms the server up.
    await runLoad(bench, server, schedule, fcfs);
    const outcomes = await runLoad(bench, server, schedule, fcfs);
    // What was refused at once would be a capacity that nobody has.
    const bad = badOf(outcomes);
    if (bad > 0) throw new Error(`${bad} of ${outcomes.length} requests were refused or failed when the capacity was measured`);
    return outcomes.length / (Math.max(...outcomes.map(({ endedAtMs }) => endedAtMs)) / 1000);
  });
}

function badOf(outcomes: readonly LoadOutcome[]): number {
  return outcomes.length - answeredOf(outcomes).length;
}

function answeredOf(outcomes: readonly LoadOutcome[]): readonly LoadOutcome[] {
  return outcomes.filter(({ result }) => result === 'answered');
}

/** Does the work with a server for each variant; those that do nothing cost nothing. */
async function withServers<T>(
  bench: Bench,
  variants: readonly Variant[],
  work: (servers: ReadonlyMap<Variant, RunningServer>) => Promise<T>,
): Promise<T> {
  const servers = new Map<Variant, RunningServer>();
  try {
    for (const variant of variants) servers.set(variant, await openServer(bench, variant.admission, everybody));
    // What V8 has not compiled yet is not what is measured.
    const warmUp = scheduleAt({ ...bench, seconds: 1 }, burst / 2, 1, 0).map((due) => ({ ...due, atMs: 0 }));
    for (const [variant, server] of servers) await runLoad(bench, server, warmUp, variant);
    return await work(servers);
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}

/** Each variant's outcomes, round by round, of the same requests. */
async function measureVariants(
  bench: Bench,
  servers: ReadonlyMap<Variant, RunningServer>,
  schedule: readonly Due[],
  label: string,
): Promise<ReadonlyMap<Variant, readonly (readonly LoadOutcome[])[]>> {
  const rounds = new Map([...servers.keys()].map((variant): [Variant, (readonly LoadOutcome[])[]] => [variant, []]));
  const contestants = [...servers].map(([variant, server]) => async () => {
    bench.options.onProgress(`${label}: ${variant.name}`);
    await bench.waker.wake();
    const outcomes = await runLoad(bench, server, schedule, variant);
    const bad = badOf(outcomes);
    if (bad > 0) bench.warnings.add(`${label}, ${variant.name}: ${bad} of ${outcomes.length} requests were refused or failed.`);
    rounds.get(variant)?.push(outcomes);
    return 0;
  });
  await interleave(contestants, { runs: bench.options.runs, warmups: 0, settle: async () => {} });
  return rounds;
}

type Measure = (outcomes: readonly LoadOutcome[]) => number;

function scheduleAt(bench: Bench, rate: number, share: number, waiting: number): Due[] {
  return makeSchedule({ trace, ...scales, rate, seconds: bench.seconds, realtimeShare: share, backlog: waiting, random: createRandom(7) });
}

function measureLanes(bench: Bench, capacity: number, variant: Variant): Promise<Figure[]> {
  return withServers(bench, [fcfs, variant], async (servers) => {
    const figures: Figure[] = [];
    for (const load of loads) {
      const label = `${Math.round(load * 100)} %`;
      const rounds = await measureVariants(bench, servers, scheduleAt(bench, load * capacity, realtimeShare, backlog), label);
      const against = (name: string, unit: Figure['unit'], of: Measure, goal?: FigureInput['goal']) =>
        figures.push(compare(rounds, variant, fcfs, `${label}, ${variant.name}: ${name}`, unit, of, variant === lanes ? goal : undefined));
      against('real-time TTFT p50', 'ms', ttftOf('realtime', 0.5));
      against('real-time TTFT p99', 'ms', ttftOf('realtime', 0.99), { below: 0.2 });
      against('batch throughput', 'tokens/s', batchThroughput, { atLeast: 0.85 });
    }
    return figures;
  });
}

const batchThroughput: Measure = (outcomes) => {
  const batch = answeredOf(outcomes).filter(({ due }) => due.lane === 'batch');
  return tokensOf(batch) / (Math.max(...batch.map(({ endedAtMs }) => endedAtMs)) / 1000);
};

function measureOrders(bench: Bench, capacity: number): Promise<Figure[]> {
  return withServers(bench, [fcfs, ...orders], async (servers) => {
    const figures: Figure[] = [];
    for (const load of loads) {
      const label = `${Math.round(load * 100)} %, one lane`;
      const rounds = await measureVariants(bench, servers, scheduleAt(bench, load * capacity, 1, 0), label);
      for (const variant of orders) {
        const against = (name: string, unit: Figure['unit'], of: Measure) =>
          figures.push(compare(rounds, variant, fcfs, `${label}, ${variant.name}: ${name}`, unit, of));
        against('TTFT p50', 'ms', ttftOf('realtime', 0.5));
        against('TTFT p99', 'ms', ttftOf('realtime', 0.99));
        against(
          'end to end, mean',
          'ms',
          (outcomes) => answeredOf(outcomes).reduce((sum, { totalMs }) => sum + totalMs, 0) / answeredOf(outcomes).length,
        );
        against('end to end, p99', 'ms', (outcomes) =>
          quantile(
            answeredOf(outcomes).map(({ totalMs }) => totalMs),
            0.99,
          ),
        );
        against('longest wait', 'ms', (outcomes) => Math.max(...outcomes.map(({ queueMs }) => queueMs)));
        const count = (name: string, of: Measure, goal?: FigureInput['goal']) =>
          figures.push(
            figure({ name: `${label}, ${variant.name}: ${name}`, unit: 'requests', samples: (rounds.get(variant) ?? []).map(of), goal }),
          );
        count('waited beyond the aging bound', agedOf);
        const hasAged = (rounds.get(variant) ?? []).some((outcomes) => agedOf(outcomes) > 0);
        if (!hasAged)
          bench.warnings.add(
            `${label}, ${variant.name}: nobody waited for the aging bound, so whether anybody is overtaken after it was not measured; try more --seconds.`,
          );
        count('overtaken after it', overtakenOf, hasAged ? { below: 1 } : undefined);
      }
    }
    return figures;
  });
}

function compare(
  rounds: ReadonlyMap<Variant, readonly (readonly LoadOutcome[])[]>,
  variant: Variant,
  reference: Variant,
  name: string,
  unit: Figure['unit'],
  of: Measure,
  goal?: FigureInput['goal'],
): Figure {
  const samplesOf = (one: Variant) => (rounds.get(one) ?? []).map(of);
  return figure({ name, unit, samples: samplesOf(variant), reference: { name: reference.name, samples: samplesOf(reference) }, goal });
}

function ttftOf(lane: Lane, at: number): Measure {
  return (outcomes) =>
    quantile(
      answeredOf(outcomes)
        .filter(({ due }) => due.lane === lane)
        .map(({ ttftMs }) => ttftMs),
      at,
    );
}

function tokensOf(outcomes: readonly LoadOutcome[]): number {
  return outcomes.reduce((sum, { due }) => sum + due.outputTokens, 0);
}

/**
 * Tokens that the engine read and wrote for them. Short answers, which a server that must refuse prefers, have prompts as long as others.
 */
function workOf(outcomes: readonly LoadOutcome[]): number {
  return tokensOf(outcomes) + outcomes.reduce((sum, { due }) => sum + due.promptTokens, 0);
}

/** Who waited for longer than the aging bound. */
const agedOf: Measure = (outcomes) => outcomes.filter(({ queueMs }) => queueMs >= agingMs).length;

/** Who began after one that had come later, although it had waited for the bound when that one began. */
const overtakenOf: Measure = (outcomes) => {
  const times = answeredOf(outcomes).map(({ due, queueMs }) => ({ cameMs: due.atMs, beganMs: due.atMs + queueMs }));
  return times.filter((one) =>
    times.some((other) => other.cameMs > one.cameMs && other.beganMs - one.cameMs >= agingMs && other.beganMs < one.beganMs - overtakingMs),
  ).length;
};

/** What the server has left over for those that it admits, when it is offered ten times what it can do. */
async function measureOverload(bench: Bench, capacity: number): Promise<Figure[]> {
  const goodputs = { peak: [] as number[], overload: [] as number[] };
  const goodTokens = { peak: [] as number[], overload: [] as number[] };
  const goodWork = { peak: [] as number[], overload: [] as number[] };
  const refusals: number[] = [];
  const kept: number[] = [];
  const growth: number[] = [];
  for (let round = 0; round < bench.options.runs; round += 1) {
    for (const [name, factor] of [
      ['peak', 1],
      ['overload', overload],
    ] as const) {
      bench.options.onProgress(`${name === 'peak' ? 'at capacity' : 'ten times too much'}`);
      await withServer(bench, {}, 256, async (server) => {
        const watch = watchMemory(server, bench.seconds);
        const outcomes = await runLoad(bench, server, scheduleAt(bench, capacity * factor, 1, 0), {
          tellsLanes: false,
          deadline: deadlineMs,
        });
        const samples = await watch;
        const good = outcomes.filter(({ result, totalMs }) => result === 'answered' && totalMs <= deadlineMs);
        const endedAtSeconds = Math.max(...outcomes.map(({ endedAtMs }) => endedAtMs)) / 1000;
        goodputs[name].push(good.length / endedAtSeconds);
        goodTokens[name].push(tokensOf(good) / endedAtSeconds);
        goodWork[name].push(workOf(good) / endedAtSeconds);
        if (name === 'peak') return;
        const refused = outcomes.filter(({ result }) => result === 'refused');
        refusals.push(
          quantile(
            refused.map(({ totalMs }) => totalMs),
            0.5,
          ),
        );
        kept.push((100 * good.length) / Math.max(1, outcomes.length - refused.length));
        growth.push(
          (100 * mostOf(samples.slice(-Math.ceil(samples.length / 5)))) /
            mostOf(samples.slice(Math.ceil(samples.length / 5), Math.ceil((2 * samples.length) / 5))),
        );
      });
    }
  }
  return [
    figure({
      name: 'ten times too much: goodput',
      unit: 'req/s',
      samples: goodputs.overload,
      reference: { name: 'at capacity', samples: goodputs.peak },
    }),
    figure({
      name: 'ten times too much: goodput, of answers',
      unit: 'tokens/s',
      samples: goodTokens.overload,
      reference: { name: 'at capacity', samples: goodTokens.peak },
    }),
    figure({
      name: 'ten times too much: goodput, read and written',
      unit: 'tokens/s',
      samples: goodWork.overload,
      reference: { name: 'at capacity', samples: goodWork.peak },
      goal: { atLeast: 0.9 },
    }),
    figure({ name: 'ten times too much: served that met their deadline', unit: '%', samples: kept }),
    figure({ name: 'ten times too much: a refusal, p50', unit: 'ms', samples: refusals }),
    figure({ name: 'ten times too much: memory at the end against before', unit: '%', samples: growth, goal: { below: 110 } }),
  ];
}

/** Resident bytes of the gateway, once a second for so long; the engine's grow with what it keeps for later prompts. */
async function watchMemory({ pid }: RunningServer, seconds: number): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let second = 0; second < seconds; second += 1) {
    await sleep(1000);
    samples.push(memoryOfTree(pid)?.ownResidentBytes ?? NaN);
  }
  return samples;
}

function mostOf(samples: readonly number[]): number {
  return Math.max(...samples);
}
