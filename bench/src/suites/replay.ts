import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import {
  replayKnownLoad,
  startFakeServer,
  type FakeServer,
  type KnownLoad,
  type KnownLoadFigures,
  type Percentiles,
} from '../replay/known-load.ts';
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
      figures: loads.flatMap((load, index) =>
        figuresOf(
          load,
          rounds.map((round) => round[index] as KnownLoadFigures),
        ),
      ),
      notes,
    };
  },
};

const notes = [
  'The fake server stamps, on the clock that the replay reads as well, when it had read a request, and when it wrote the first token and the end. Own error of TTFT, for each request: what the replay was late in sending, and what it was late in learning of the first token. Of TPOT: what the replay reports less what the server did. Percentiles are of the sizes of the errors.',
  'How late the server itself is to read a request that lies in its socket is the server’s, as in any server, and no part of the own error; “due until read by the server” and the end to end hold it, and both ways through the loopback.',
  'The fake server is a process of its own, and shares the cores with the replay; its CPU is not counted, its competition is. A wake-up delay is how late a third process, which only waits, gets a core meanwhile: no program that sleeps can be more punctual on this machine at that time. The last line of each load is the ratio of the two: at 1 and below, the error is within what the machine itself allows.',
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
  const percentiles = (what: string, of: (figures: KnownLoadFigures) => Percentiles, goal?: Figure['goal']) =>
    (['p50', 'p99'] as const).map((which) =>
      figure({ name: `${name}: ${what}, ${which}`, unit: 'ms', samples: rounds.map((round) => of(round)[which]), goal }),
    );
  return [
    ...percentiles('own error of TTFT', ({ ttftError }) => ttftError, errorGoal),
    ...percentiles('own error of TPOT', ({ tpotError }) => tpotError, errorGoal),
    ...percentiles('sent late', ({ lateness }) => lateness),
    ...percentiles('due until read by the server', ({ sendError }) => sendError),
    ...percentiles('written until read by the replay', ({ readError }) => readError),
    ...percentiles("error of end to end, with the server's lateness", ({ e2eError }) => e2eError),
    ...percentiles('wake-up delay of a third process', ({ wakeDelay }) => wakeDelay),
    figure({
      name: `${name}: own error of TTFT, p99`,
      unit: 'ms',
      samples: rounds.map(({ ttftError }) => ttftError.p99),
      reference: { name: 'wake-up delay, p99', samples: rounds.map(({ wakeDelay }) => wakeDelay.p99) },
    }),
    figure({
      name: `${name}: CPU of the replay`,
      unit: 'cores',
      samples: rounds.map(({ generatorCores }) => generatorCores),
      goal: { below: 1 },
    }),
  ];
}

function nameOf({ requestsPerSecond, chunks }: KnownLoad): string {
  return `${requestsPerSecond.toLocaleString('en')} streams/s of ${chunks} chunks`;
}
