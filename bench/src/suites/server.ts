import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import type { DecodeTask } from '../contestants/contestant.ts';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { openNodeLlamaCpp, publishedFigures, type NodeLlamaCpp } from '../contestants/node-llama-cpp.ts';
import { makePrompt } from '../contestants/prompts.ts';
import { interleave, type Measure } from '../harness/interleave.ts';
import { figure, type Figure, type FigureInput } from '../harness/report.ts';
import { quantile } from '@open-autoglm/statistics';
import { CoreWaker } from '../harness/wake-cores.ts';
import { decodeRate, overallRate, startLoadClient, type LoadClient, type StreamResult } from '../load/load-client.ts';
import { watchLoopDelay } from '../server/loop-delay.ts';
import { memoryOfTree } from '../server/memory.ts';
import { npmStart, startServer, type RunningServer } from '../server/server-process.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const streamCounts = [1, 16] as const;
/** Tokens of every answer. */
const answerLength = 192;
/** More tokens than the chat template makes of the question. */
const promptMax = 64;
const sequenceLength = 1024;
const warmups = 2;
/**
 * Rounds of 16 streams before anything is measured, of each contestant: code that has run seldom is not compiled, at several times the
 * cost.
 */
const warmUpRounds = 8;
const startsMax = 5;

/** The whole server, from the command line to the last byte of a stream. */
export const serverSuite: Suite = {
  name: 'server',
  description: '1 and 16 HTTP streams of a real server against the engine alone; event loop delay, start, memory',
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const common = { modelPath, threads: options.threads, sequenceLength, maxSequences: 16, maxPrompt: promptMax };
    const starts = await measureStarts(options);
    const bench = await openBench(options, common);
    try {
      const promptLength = await warmUp(bench, options);
      const figures = [
        ...(await measureStreams(bench, promptLength, options)),
        ...starts,
        await measureLoopDelay(bench, options),
        ...measureMemory(bench),
      ];
      return {
        settings: {
          model: source,
          threads: options.threads,
          runs: options.runs,
          'prompt tokens': promptLength,
          'answer tokens': answerLength,
        },
        figures,
        notes: [...notes, bench.peer ? peerNotes.measured : peerNotes.published],
      };
    } finally {
      await bench.close();
    }
  },
};

const notes = [
  `Streams ask /v1/chat/completions for ${answerLength} greedy tokens each, with the end-of-turn tokens forbidden by logit_bias, so that no answer ends early. ` +
    'The client is a process of its own and shares the cores with the server. The others decode as many tokens after prompts as long as the server’s.',
  `Before the first measurement the server has answered ${warmUpRounds * 16} streams; the engine alone, and node-llama-cpp where it is measured, have then decoded as many each, or for as long as the server took.`,
  'A stream rate runs from the first token to the end of each answer, as the engine alone is measured from its first decode step on, and node-llama-cpp from the first token of the last sequence to begin; “with prompts” runs from the requests to the last end.',
  'Event loop delay: how much later than due the gateway got to a timer of 1 ms, over one round of 16 streams in each run. Memory: resident sets of gateway and engine added up, after the load.',
];
const peerNotes = {
  measured: 'node-llama-cpp: its own JavaScript API (sequence.evaluate), CPU build, measured in this run in a process of its own.',
  published:
    'node-llama-cpp is not installed (npm install in bench/peers/node-llama-cpp); its figures are those once measured on another machine with 2 cores, not in this run.',
} as const;

interface Bench {
  readonly engine: EngineContestant;
  readonly server: RunningServer;
  readonly client: LoadClient;
  readonly peer: NodeLlamaCpp | undefined;
  readonly probeFolder: string;
  readonly waker: CoreWaker;
  close(): Promise<void>;
}

async function openBench({ model, threads, onProgress }: SuiteOptions, common: Parameters<typeof openEngine>[0]): Promise<Bench> {
  onProgress('starting the contestants');
  const probeFolder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const server = await startServer({ model, threads }, probeFolder);
  const engine = openEngine(common);
  const client = startLoadClient();
  const peer = await openNodeLlamaCpp(common);
  const waker = new CoreWaker();
  return {
    engine,
    server,
    client,
    peer,
    probeFolder,
    waker,
    async close() {
      await waker.close();
      client.close();
      await peer?.close();
      await server.stop();
      await engine.close();
      await rm(probeFolder, { recursive: true });
    },
  };
}

/**
 * Returns how many tokens the server read of each question: whoever is compared reads as many, since every key that is attended to costs
 * each step.
 */
async function warmUp(bench: Bench, { onProgress }: SuiteOptions): Promise<number> {
  onProgress('warming up');
  const count = Math.max(...streamCounts);
  const since = performance.now();
  let promptLength = 0;
  for (let round = 0; round < warmUpRounds; round += 1) {
    const streams = await openStreams(bench, count);
    promptLength = Math.min(...streams.map(({ promptTokens }) => promptTokens));
  }
  const serverMs = performance.now() - since;
  const task = decodeTask(bench, count, promptLength);
  for (const contestant of [bench.engine, ...(bench.peer ? [bench.peer] : [])]) {
    // A slow one would take minutes for as many rounds.
    const untilMs = performance.now() + serverMs;
    for (let round = 0; round < warmUpRounds && performance.now() < untilMs; round += 1) await contestant.decode(task);
  }
  return promptLength;
}

/** What so many streams ask of the server. */
function decodeTask({ engine }: Bench, count: number, promptLength: number): DecodeTask {
  const { vocabulary } = engine.model;
  return {
    prompts: Array.from({ length: count }, (_, index) => makePrompt((text) => vocabulary.tokenize(text, false), promptLength, index * 7)),
    steps: answerLength - 1,
  };
}

async function measureStreams(bench: Bench, promptLength: number, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of streamCounts) {
    const name = `${count} HTTP stream${count === 1 ? '' : 's'}`;
    onProgress(name);
    const task = decodeTask(bench, count, promptLength);
    const rounds: (readonly StreamResult[])[] = [];
    const http: Measure = async () => {
      const streams = await openStreams(bench, count);
      rounds.push(streams);
      return decodeRate(streams);
    };
    const { peer } = bench;
    const contestants = [http, () => bench.engine.decode(task), ...(peer ? [() => peer.decode(task)] : [])];
    const [decode = [], alone = [], theirs] = await interleave(contestants, { runs, warmups, settle: () => bench.waker.wake() });
    const counted = rounds.slice(-runs);
    const peerReference = theirs
      ? { name: 'node-llama-cpp', samples: theirs }
      : { name: 'node-llama-cpp', value: publishedFigures[count] ?? NaN };
    const line = (input: Pick<FigureInput, 'name' | 'samples' | 'reference' | 'goal'>) => figure({ unit: 'tokens/s', ...input });
    figures.push(
      line({ name, samples: decode, reference: { name: 'engine alone', samples: alone }, goal: { atLeast: 0.9 } }),
      line({ name, samples: decode, reference: peerReference, goal: { atLeast: 10 } }),
      line({ name: `${name}, with prompts`, samples: counted.map(overallRate), reference: { name: 'engine alone', samples: alone } }),
      line({ name: `${name}, with prompts`, samples: counted.map(overallRate), reference: peerReference }),
      figure({
        name: `${name}, time to first token`,
        unit: 'ms',
        samples: counted.map((streams) =>
          quantile(
            streams.map(({ firstTokenAt }) => firstTokenAt),
            0.5,
          ),
        ),
      }),
    );
  }
  return figures;
}

/** Throws when an answer was cut short: the figures would then be of fewer streams. */
async function openStreams({ client, server, engine }: Bench, count: number): Promise<readonly StreamResult[]> {
  const { vocabulary } = engine.model;
  const ends = Array.from({ length: vocabulary.size }, (_, token) => token).filter((token) => vocabulary.endsGeneration(token));
  const body = (topic: number) => ({
    model: 'default',
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    max_tokens: answerLength,
    logit_bias: Object.fromEntries(ends.map((token) => [token, -100])),
    messages: [{ role: 'user', content: `请写一篇长文，题目是《城市的清晨》，从第${topic + 1}个故事写起。` }],
  });
  const streams = await client.run({ url: server.url, bodies: Array.from({ length: count }, (_, index) => body(index)) });
  const short = streams.find(({ tokens }) => tokens !== answerLength);
  if (short) throw new Error(`an answer ended after ${short.tokens} tokens (${short.finishReason}) instead of ${answerLength}`);
  return streams;
}

async function measureLoopDelay(bench: Bench, { runs, onProgress }: SuiteOptions): Promise<Figure> {
  onProgress('event loop delay');
  const samples: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await bench.waker.wake();
    const { p99Ms } = await watchLoopDelay(bench.server.pid, bench.probeFolder, () => openStreams(bench, 16));
    samples.push(p99Ms);
  }
  return figure({ name: 'event loop delay p99, 16 streams', unit: 'ms', samples, goal: { below: 10 } });
}

async function measureStarts({ model, threads, runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('npm start');
  const listening: number[] = [];
  const ready: number[] = [];
  // One more than counts: the first start fills the compile cache and the page cache.
  for (let run = -1; run < Math.min(runs, startsMax); run += 1) {
    const server = await npmStart({ model, threads });
    await server.stop();
    if (run < 0) continue;
    listening.push(server.listeningMs);
    ready.push(server.readyMs);
  }
  return [
    figure({ name: 'npm start to listening', unit: 'ms', samples: listening, goal: { below: 1000 } }),
    figure({ name: 'npm start to ready', unit: 'ms', samples: ready, goal: { below: 2000 } }),
  ];
}

function measureMemory({ server }: Bench): Figure[] {
  const memory = memoryOfTree(server.pid);
  if (!memory) return [];
  return [
    figure({ name: `memory, ${memory.processCount} processes`, unit: 'MB', samples: [memory.residentBytes / 1e6], goal: { below: 350 } }),
  ];
}
