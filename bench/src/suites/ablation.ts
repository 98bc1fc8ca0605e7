import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { watchKvUsage } from '../ablation/kv-watch.ts';
import { replayTrace, type ReplayFigures, type ReplayLoad } from '../ablation/replay-process.ts';
import { batchSize, configOf, kvCacheBytes, variants, type Variant } from '../ablation/variants.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure, type Goal } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { noEarlyEnd } from '../load/no-early-end.ts';
import { memoryOfTree } from '../server/memory.ts';
import { startServer, type RunningServer } from '../server/server-process.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const trace = fileURLToPath(new URL('../../../../shared/data/traces/azure-conversation-2023.jsonl', import.meta.url));
const scales = { promptScale: 1 / 8, outputScale: 1 / 2 };
/** A first token within a second, then twenty a second: faster than people read. */
const slo = { ttftMs: 1000, tpotMs: 50 };
/** Of what the best variant can do. */
const load = 0.9;
/** Requests at once, to find that out: several full batches. */
const burst = 128;
const burstSeeds = [2, 3] as const;
const seed = 1;
/** Other words than those of the open loop, whose prompts the server knows by then. */
const saturationSeed = 4;
/** Requests that wait from the beginning, as a multiple of what the best variant answers in that time: none runs out of them. */
const surplus = 2;
/** Of fewer, too much of the time goes into the first batch's prompts. */
const batchesMin = 3;
const atOnce = 100_000;
const answerTimeoutMs = 30_000;
const goal: Goal = { atLeast: 3 };

/** Weights in 8 bits or 16, batches that are joined at every step or run to their end: what each brings under a real load. */
export const ablationSuite: Suite = {
  name: 'ablation',
  description:
    'int8 / f16 weights × continuous / static batching on the Azure trace: throughput at saturation, goodput of an open loop, TTFT, TPOT, memory',
  runsMax: 5,
  numbers: [{ name: 'seconds', description: 'of the trace, and then of saturation, for each variant and round', default: 20 }],
  async run(options) {
    const seconds = options.numbers['seconds'] as number;
    const settings = { model: options.model, threads: options.threads, runs: options.runs, seconds };
    if (!existsSync(trace))
      return {
        settings,
        figures: [],
        notes: [],
        warnings: [`Nothing was measured: there is no trace ${path.relative(process.cwd(), trace)}.`],
      };
    const bench = await openBench(options);
    try {
      const capacity = await measureCapacity(bench);
      const rate = load * capacity;
      const rounds = await measureRounds(bench, {
        open: { rate, limit: Math.max(1, Math.round(rate * seconds)), seed, timeoutMs: answerTimeoutMs },
        saturated: { rate: atOnce, limit: Math.ceil(surplus * capacity * seconds), seed: saturationSeed, timeoutMs: seconds * 1000 },
      });
      return {
        settings: {
          ...settings,
          'requests/s': Math.round(rate * 100) / 100,
          'requests a round': Math.round(rate * seconds),
          'prompt scale': scales.promptScale,
          'output scale': scales.outputScale,
        },
        figures: figuresOf(rounds),
        notes: notesOf(capacity, seconds),
        warnings: [...new Set([...rounds].flatMap(([variant, all]) => all.flatMap((round) => warningsOf(variant, round))))],
      };
    } finally {
      await bench.close();
    }
  },
};

function notesOf(capacity: number, seconds: number): string[] {
  return [
    `The first requests of Azure’s conversation trace of 2023, in its own order. Its prompts are an eighth as long and its answers half as long: on a processor, a token of a prompt costs about as much as one of an answer in a full batch, on an accelerator a tenth. No answer ends early (logit_bias).`,
    `Static batching: whenever no request runs, as many of those that wait as a batch may hold begin together, in the order of their coming, and none joins before the longest of them has ended. So its batches are full wherever enough wait; places whose answers have ended stay empty.`,
    `Throughput, a capacity: all requests of ${seconds} s, ${surplus} times as many as the best variant can answer, wait from the beginning, and what is not answered by then is given up. Tokens that came within that time count, those of unfinished answers as well, by the pieces that came of them, of which one may hold several tokens; so no batch runs empty at the end of the measurement.`,
    `Goodput, an open loop: requests come in the trace’s own bursts, at ${load * 100} % of the ${capacity.toFixed(1)} a second that ${variants[0]?.name} answered of ${burst} that came at once, at the better of ${burstSeeds.length} times. Those a second, while they came, that had their first token within ${slo.ttftMs} ms of when they were due, and ${slo.tpotMs} ms for each of the others. An answer that takes longer than ${answerTimeoutMs / 1000} s is given up; latencies are those of answered requests.`,
    `All variants get the same requests at the same times, and serve them as they come (admission.policy: fcfs); each is a server of its own, alone, begins with empty caches, and is measured in the open loop first.`,
    `Memory: resident sets after both loads. Keys and values: the most that sequences held; what is kept for later prompts beside them is bounded by ${kvCacheBytes / 2 ** 20} MiB, and is part of the engine’s memory.`,
  ];
}

function warningsOf({ name }: Variant, { open, saturated }: Round): readonly string[] {
  const spoilt = [open, saturated].flatMap(({ warnings, outcomes, requests }) => {
    const { refused, failed, cut } = outcomes;
    return refused + failed + cut > 0
      ? [...warnings, `${refused + failed + cut} of ${requests} requests were refused or failed.`]
      : warnings;
  });
  const { answered, 'timed-out': givenUp } = saturated.outcomes;
  if (givenUp === 0)
    return [...spoilt, `${name} had nothing left to do before the time of saturation was up: its throughput is more than that.`];
  if (answered >= batchesMin * batchSize) return spoilt;
  return [
    ...spoilt,
    `${name} answered ${answered} requests in the time of saturation, fewer than ${batchesMin} full batches: of the prompts that it read for most of that time the tokens were still to come. Try more --seconds.`,
  ];
}

/** What one variant brought. */
interface Round {
  readonly open: ReplayFigures;
  /** Requests a second of the arrivals’ time: what is left to answer after them takes nothing from it. */
  readonly goodput: number;
  readonly saturated: ReplayFigures;
  readonly engineMegabytes: number;
  readonly gatewayMegabytes: number;
  readonly kvMegabytes: number;
}

type Arrivals = Pick<ReplayLoad, 'rate' | 'limit' | 'seed' | 'timeoutMs'>;

interface Loads {
  readonly open: Arrivals;
  readonly saturated: Arrivals;
}

interface Bench {
  readonly options: SuiteOptions;
  readonly folder: string;
  /** Merged into every request. */
  readonly body: object;
  readonly waker: CoreWaker;
  close(): Promise<void>;
}

async function openBench(options: SuiteOptions): Promise<Bench> {
  options.onProgress('preparing the models');
  const [int8] = await Promise.all(
    (['int8', 'none'] as const).map((quantization) => resolveModel({ model: options.model, quantization, home: defaultHome() })),
  );
  const { body } = await noEarlyEnd((int8 as { readonly path: string }).path, options.threads);
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const waker = new CoreWaker();
  return {
    options,
    folder,
    waker,
    body,
    async close() {
      await waker.close();
      await rm(folder, { recursive: true });
    },
  };
}

/**
 * Requests a second of the best variant when it always has enough to do: the better of two bursts, since a neighbour on the machine only
 * takes away.
 */
function measureCapacity(bench: Bench): Promise<number> {
  bench.options.onProgress('capacity');
  return withServer(bench, variants[0] as Variant, async ({ url }) => {
    const rates: number[] = [];
    for (const seed of burstSeeds)
      rates.push((await replay(bench, url, { rate: atOnce, limit: burst, seed, timeoutMs: answerTimeoutMs })).answered_rps);
    return Math.max(...rates);
  });
}

/** By variant, round by round. */
async function measureRounds(bench: Bench, loads: Loads): Promise<ReadonlyMap<Variant, readonly Round[]>> {
  const rounds = new Map(variants.map((variant): [Variant, Round[]] => [variant, []]));
  const contestants = variants.map((variant) => async () => {
    bench.options.onProgress(variant.name);
    const round = await measure(bench, variant, loads);
    rounds.get(variant)?.push(round);
    return round.goodput;
  });
  // Every server begins cold, and is warmed up by its replay.
  await interleave(contestants, { runs: bench.options.runs, warmups: 0, settle: async () => {} });
  return rounds;
}

function measure(bench: Bench, variant: Variant, loads: Loads): Promise<Round> {
  return withServer(bench, variant, async (server) => {
    const { result, peak } = await watchKvUsage(server.url, async () => ({
      open: await replay(bench, server.url, loads.open),
      saturated: await replay(bench, server.url, loads.saturated),
    }));
    return {
      ...result,
      goodput: loads.open.rate * result.open.slo_attainment,
      ...memoryOf(server),
      kvMegabytes: (peak * kvCacheBytes) / 1e6,
    };
  });
}

async function withServer<T>(
  { options: { model, threads }, folder, waker }: Bench,
  variant: Variant,
  work: (server: RunningServer) => Promise<T>,
): Promise<T> {
  const config = path.join(folder, 'config.yaml');
  await writeFile(config, configOf(variant));
  const server = await startServer({ model, threads, config }, folder);
  try {
    await waker.wake();
    return await work(server);
  } finally {
    await server.stop();
  }
}

function replay({ body }: Bench, url: string, arrivals: Arrivals): Promise<ReplayFigures> {
  return replayTrace({ trace, url, body, slo, ...scales, ...arrivals });
}

/** NaN where there is no /proc. */
function memoryOf({ pid }: RunningServer): Pick<Round, 'engineMegabytes' | 'gatewayMegabytes'> {
  const { ownResidentBytes: own = NaN, residentBytes: all = NaN } = memoryOfTree(pid) ?? {};
  return { engineMegabytes: (all - own) / 1e6, gatewayMegabytes: own / 1e6 };
}

function figuresOf(rounds: ReadonlyMap<Variant, readonly Round[]>): Figure[] {
  const measures: readonly (readonly [name: string, unit: Figure['unit'], of: (round: Round) => number | undefined])[] = [
    ['throughput, saturated', 'tokens/s', ({ saturated }) => saturated.output_tokens_per_second],
    ['goodput', 'req/s', ({ goodput }) => goodput],
    ['TTFT p50', 'ms', ({ open }) => open.ttft_ms?.p50],
    ['TTFT p99', 'ms', ({ open }) => open.ttft_ms?.p99],
    ['TPOT p50', 'ms', ({ open }) => open.tpot_ms?.p50],
    ['TPOT p99', 'ms', ({ open }) => open.tpot_ms?.p99],
    ['memory, engine', 'MB', ({ engineMegabytes }) => engineMegabytes],
    ['memory, gateway', 'MB', ({ gatewayMegabytes }) => gatewayMegabytes],
    ['keys and values, most', 'MB', ({ kvMegabytes }) => kvMegabytes],
  ];
  const last = variants.at(-1) as Variant;
  return measures.flatMap(([name, unit, of]) => {
    const samplesOf = (variant: Variant) =>
      (rounds.get(variant) as readonly Round[]).map(of).filter((value) => value !== undefined && !Number.isNaN(value)) as number[];
    const theirs = samplesOf(last);
    return variants.flatMap((variant, index): Figure[] => {
      const samples = samplesOf(variant);
      if (samples.length === 0) return [];
      const isCompared = variant !== last && theirs.length === samples.length && theirs.every((value) => value > 0);
      const isGoal = index === 0 && (name === 'goodput' || name === 'throughput, saturated');
      return [
        figure({
          name: `${variant.name}: ${name}`,
          unit,
          samples,
          ...(isCompared && { reference: { name: last.name, samples: theirs } }),
          ...(isGoal && { goal }),
        }),
      ];
    });
  });
}
