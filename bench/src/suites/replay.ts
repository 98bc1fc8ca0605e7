import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { replayKnownLoad, startFakeServer, type FakeServer, type KnownLoad, type KnownLoadFigures } from '../replay/known-load.ts';
import type { Suite, SuiteOptions } from './suite.ts';

/** Of the fake server. */
const latencies = { ttftMs: 20, gapMs: 10 };
const seconds = 5;
const loads = [
  { requestsPerSecond: 500, seconds, chunks: 5 },
  { requestsPerSecond: 2000, seconds, chunks: 5 },
  { requestsPerSecond: 1000, seconds, chunks: 20 },
] as const satisfies readonly KnownLoad[];
const errorGoal = { below: 1 };
/** Each takes about seven seconds for each load. */
const runsMax = 5;

/** What `autoglm replay` adds to the latencies that it reports, and what it costs. */
export const replaySuite: Suite = {
  name: 'replay',
  description: "the replay's own error and CPU, against a fake server with known latency",
  needsNoModel: true,
  runsMax,
  async run(options) {
    const { runs } = options;
    const rounds = await measure(runs, options);
    return {
      settings: { runs, seconds, 'known time to first token, ms': latencies.ttftMs, 'known gap, ms': latencies.gapMs },
      figures: loads.flatMap((load, index) => figuresOf(load, rounds.map((round) => round[index] as KnownLoadFigures))),
      notes,
    };
  },
};

const notes = [
  'Error: for each request, the time to the first token (to the end) that the replay reports, from the moment when it was due, less what the fake server took by its own clock, from reading the request to writing the token (the end). It holds being sent late, both ways through the loopback, and the time until the server and the replay get a core.',
  'The fake server is a process of its own, and shares the cores with the replay; its CPU is not counted, its competition is. A wake-up delay is how late a third process, which only waits, gets a core meanwhile: no program can be more punctual on this machine at that time.',
  'Arrivals are a Poisson process. CPU: all threads of the replay, with reading the trace and making the prompts, over the time of the replay.',
];

async function measure(runs: number, { onProgress }: SuiteOptions): Promise<KnownLoadFigures[][]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const waker = new CoreWaker();
  let server: FakeServer | undefined;
  try {
    server = await startFakeServer(latencies);
    const rounds: KnownLoadFigures[][] = [];
    // The first round compiles the server's code, and does not count.
    for (let run = -1; run < runs; run += 1) {
      const round: KnownLoadFigures[] = [];
      for (const load of loads) {
        onProgress(`${run < 0 ? 'warm-up' : `round ${run + 1}`}: ${nameOf(load)}`);
        await waker.wake();
        round.push(await replayKnownLoad(server, run < 0 ? { ...load, seconds: 1 } : load, folder));
      }
      if (run >= 0) rounds.push(round);
    }
    return rounds;
  } finally {
    await waker.close();
    await server?.stop();
    await rm(folder, { recursive: true });
  }
}

function figuresOf(load: KnownLoad, rounds: readonly KnownLoadFigures[]): Figure[] {
  const name = nameOf(load);
  const milliseconds = (what: string, of: (figures: KnownLoadFigures) => number, goal?: Figure['goal']) => figure({ name: `${name}: ${what}`, unit: 'ms', samples: rounds.map(of), goal });
  return [
    milliseconds('error of TTFT, p50', ({ ttftError }) => ttftError.p50, errorGoal),
    milliseconds('error of TTFT, p99', ({ ttftError }) => ttftError.p99, errorGoal),
    milliseconds('error of end to end, p50', ({ e2eError }) => e2eError.p50, errorGoal),
    milliseconds('error of end to end, p99', ({ e2eError }) => e2eError.p99, errorGoal),
    milliseconds('sent late, p99', ({ lateness }) => lateness.p99),
    milliseconds('wake-up delay of a third process, p99', ({ wakeDelay }) => wakeDelay.p99),
    figure({ name: `${name}: CPU of the replay`, unit: 'cores', samples: rounds.map(({ generatorCores }) => generatorCores), goal: { below: 1 } }),
  ];
}

function nameOf({ requestsPerSecond, chunks }: KnownLoad): string {
  return `${requestsPerSecond.toLocaleString('en')} streams/s of ${chunks} chunks`;
}
