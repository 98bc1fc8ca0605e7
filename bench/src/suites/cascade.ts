import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median } from '@open-autoglm/statistics';
import { answersOf, startBeside, startGateway, startLoad, type Served } from '../gateway/processes.ts';
import { figure, type Figure } from '../harness/report.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../../packages/cli/bin/autoglm.js', import.meta.url));
const data = (name: string) => fileURLToPath(new URL(`../../../../shared/data/cascade/${name}-cheap-strong.jsonl`, import.meta.url));
const strongShare = 0.5;
const loopMs = 1500;
const requestsMax = 500;

/** The learned policy against the length of the prompt, and what the cascade costs a request. */
export const cascadeSuite: Suite = {
  name: 'cascade',
  description:
    'right answers at 50 % strong calls, learned policy against prompt length, on questions not learned from; latency that the cascade adds',
  needsNoModel: true,
  runsMax: 5,
  parts: ['gsm8k', 'mmlu', 'latency'],
  async run(options) {
    const { runs, parts } = options;
    const figures: Figure[] = [];
    const warnings: string[] = [];
    for (const name of ['gsm8k', 'mmlu']) {
      if (!parts.has(name)) continue;
      if (existsSync(data(name))) figures.push(...(await measurePolicy(name, options)));
      else warnings.push(`${data(name)} is not there: nothing is said of ${name}.`);
    }
    if (parts.has('latency')) figures.push(...(await measureLatency(options)));
    return { settings: { runs, 'strong calls': `${strongShare * 100} %` }, figures, notes, warnings };
  },
};

const notes = [
  'Right answers: of autoglm tune cascade, by nested cross-validation; each run has other folds, and the length of the prompt has none. The limit is an oracle that knows both answers. By the answer, the cheap model has answered every question; by the prompt, only those that it keeps.',
  'Latency: one client, whole answers, fake backends that answer at once. Trusted: the cheap tier answers and is judged; alone: the cheap tier is gone, and the strong one answers. Beside them the same gateway, asked for the model by its own name.',
];

interface Row {
  readonly strong_share: number;
  readonly oracle: number;
  readonly length: { readonly value: number };
  readonly prompt: { readonly value: number };
  readonly answer?: { readonly value: number };
}

async function measurePolicy(name: string, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const rows: Row[] = [];
  for (let seed = 1; seed <= runs; seed += 1) {
    onProgress(`${name}, folds ${seed}`);
    const { stdout } = await run(process.execPath, [program, 'tune', 'cascade', data(name), '--seed', String(seed), '--json']);
    const { table } = JSON.parse(stdout) as { table: Row[] };
    rows.push(table.find((row) => row.strong_share === strongShare) as Row);
  }
  const of = (way: 'length' | 'prompt' | 'answer') => rows.map((row) => (row[way]?.value ?? NaN) * 100);
  const common = {
    unit: '%',
    reference: { name: 'prompt length', samples: of('length') },
    limit: (rows[0] as Row).oracle * 100,
    goal: { atLeast: 1 },
  } as const;
  const figures = [figure({ name: `${name}: right, by the prompt`, samples: of('prompt'), ...common })];
  if (rows.every(({ answer }) => answer)) figures.push(figure({ name: `${name}: right, by the answer`, samples: of('answer'), ...common }));
  return figures;
}

async function measureLatency({ runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const backends = await Promise.all([0, 1].map(() => startBeside('./fake-backend-process.ts')));
  const load = startLoad();
  const [small, large] = backends as [Served, Served];
  const gateway = await startGateway({
    engines: [
      { kind: 'openai', name: 'small', tier: 'edge', url: `${small.url}/v1`, model: 'small', upstream_model: 'bench' },
      { kind: 'openai', name: 'large', tier: 'cloud', url: `${large.url}/v1`, model: 'large', upstream_model: 'bench' },
    ],
    router: { health: { probe_interval_ms: 200, probe_timeout_ms: 1000 } },
    tiers: { enabled: true },
  });
  const p50 = async (model: string) => {
    const { latenciesMs, failed, failure } = await load.run({
      url: gateway.url,
      headers: {},
      body: { model, messages: [{ role: 'user', content: 'Hello' }] },
      concurrency: 1,
      durationMs: loopMs,
      requestsMax,
    });
    if (failed > 0) throw new Error(`${model}: ${failed} requests failed: ${failure ?? ''}`);
    return median(latenciesMs);
  };
  try {
    const [plain, trusted, plainLarge, alone]: number[][] = [[], [], [], []];
    await p50('small');
    for (let round = 0; round < runs; round += 1) {
      onProgress(`latency, round ${round + 1}`);
      plain?.push(await p50('small'));
      const escalated = await answersOf(large);
      trusted?.push(await p50('auto'));
      if ((await answersOf(large)) > escalated) throw new Error('the strong tier was asked: the cheap one was not trusted');
    }
    await small.stop();
    await p50('auto');
    for (let round = 0; round < runs; round += 1) {
      plainLarge?.push(await p50('large'));
      alone?.push(await p50('auto'));
    }
    return [
      figure({ name: 'trusted: p50', unit: 'ms', samples: trusted ?? [], reference: { name: 'by its own name', samples: plain ?? [] } }),
      figure({ name: 'alone: p50', unit: 'ms', samples: alone ?? [], reference: { name: 'by its own name', samples: plainLarge ?? [] } }),
    ];
  } finally {
    load.close();
    await gateway.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
  }
}
