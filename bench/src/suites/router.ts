import { setTimeout as sleep } from 'node:timers/promises';
import { startBeside, startGateway, startLoad, type Served } from '../gateway/processes.ts';
import type { LoopResult } from '../gateway/protocol.ts';
import { figure, type Figure } from '../harness/report.ts';
import { quantile } from '@open-autoglm/statistics';
import type { Suite, SuiteOptions } from './suite.ts';

/** What an answer of a healthy replica takes, and one of the slow replica. */
const delayMs = 20;
const slowMs = delayMs * 10;
const concurrency = 24;
const healthyMs = 2000;
/** The fault comes so long after the beginning of the second loop, and it counts as dealt with so long after that. */
const faultAtMs = 500;
const settleMs = 2500;
const loopMs = faultAtMs + settleMs + 2500;
const runsMax = 3;

const faults: readonly (readonly [string, (replica: Served) => void])[] = [
  ['killed', ({ child }) => void child.kill('SIGKILL')],
  ['frozen', ({ child }) => void child.kill('SIGSTOP')],
  ['slow by 10×', ({ child }) => void child.send({ delayMs: slowMs })],
];

/** One of three replicas fails under load. */
export const routerSuite: Suite = {
  name: 'router',
  description: 'one of three replicas killed, frozen or slow by 10×: failed requests, and p99 after its ejection against healthy',
  needsNoModel: true,
  runsMax,
  async run(options) {
    const { runs } = options;
    const figures: Figure[] = [];
    for (const fault of faults) figures.push(...(await measureFault(fault, runs, options)));
    return {
      settings: { runs, concurrency, 'ms of an answer': delayMs, balance: 'round_robin', 'probe interval ms': probes.probe_interval_ms },
      figures,
      notes,
    };
  },
};

/** Quicker than the defaults, so that a run ends soon; nothing else differs. */
const probes = { probe_interval_ms: 500, probe_timeout_ms: 250, probe_failures: 2 };

const notes = [
  `Three fake backends, processes of their own, answer after ${delayMs} ms; the router sends in turn, so that nothing but ejection keeps requests from the faulty one.`,
  `p99 after: of requests that ended more than ${settleMs} ms after the fault; healthy: of the same gateway and load before it. Answers are whole, so that every failure is one before the first chunk. A request fails when it is not answered in full with status 200.`,
];

async function measureFault([name, cause]: (typeof faults)[number], runs: number, { onProgress }: SuiteOptions): Promise<Figure[]> {
  const failed: number[] = [];
  const after: number[] = [];
  const healthy: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    onProgress(`${name}, run ${run + 1}`);
    const [before, during] = await runOnce(cause);
    failed.push(before.failed + during.failed);
    healthy.push(quantile(before.latenciesMs, 0.99));
    after.push(
      quantile(
        during.latenciesMs.filter((_, index) => (during.endsMs[index] as number) > faultAtMs + settleMs),
        0.99,
      ),
    );
  }
  return [
    figure({ name: `${name}: failed requests`, unit: 'requests', samples: failed, goal: { below: 1 } }),
    figure({
      name: `${name}: p99 after`,
      unit: 'ms',
      samples: after,
      reference: { name: 'healthy', samples: healthy },
      goal: { below: 1.3 },
    }),
  ];
}

async function runOnce(cause: (replica: Served) => void): Promise<readonly [LoopResult, LoopResult]> {
  const replicas = await Promise.all([0, 1, 2].map(() => startBeside('./fake-backend-process.ts')));
  const load = startLoad();
  try {
    for (const { child } of replicas) child.send({ delayMs });
    const gateway = await startGateway({
      engines: replicas.map(({ url }) => ({ kind: 'openai', url: `${url}/v1`, model: 'bench' })),
      router: { balance: 'round_robin', health: probes },
    });
    try {
      const task = { url: gateway.url, headers: {}, body: { model: 'bench', messages: [{ role: 'user', content: 'Hello' }] }, concurrency };
      await load.run({ ...task, durationMs: healthyMs });
      const before = await load.run({ ...task, durationMs: healthyMs });
      const during = load.run({ ...task, durationMs: loopMs });
      await sleep(faultAtMs);
      cause(replicas[2] as Served);
      return [before, await during];
    } finally {
      await gateway.stop();
    }
  } finally {
    load.close();
    await Promise.all(replicas.map((replica) => replica.stop()));
  }
}
