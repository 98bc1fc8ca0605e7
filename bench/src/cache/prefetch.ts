import { createRandom } from '@open-autoglm/statistics';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, request } from 'undici';
import { startBeside, startGateway } from '../gateway/processes.ts';
import { figure, type Figure } from '../harness/report.ts';
import type { SuiteOptions } from '../suites/suite.ts';
import { question } from './asking.ts';

const topics = 7;
/** Of all questions of a topic, so many are followed by the one that is usual; the others by one of their own. */
const usualShare = 0.7;
/** Between an answer and the next question. */
const thinkMs = 100;
const idleMs = 20;
const backendMs = 40;
/** Times that each topic is asked about: so that its follow-up is known, where that is of use, and then those that count. */
const [learnTurns, judgedTurns] = [4, 5];

interface Outcome {
  readonly hits: number;
  readonly followUps: number;
  readonly meanMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * A conversation asks about one topic after another, and then what usually comes next. Answers live for 1 s and a topic comes round
 * later than that, so that without prefetching no follow-up is a hit; one process asks, in turn.
 */
export async function measurePrefetch({
  runs,
  onProgress,
}: SuiteOptions): Promise<{ readonly figures: Figure[]; readonly notes: string[] }> {
  const [ahead, plain]: [Outcome[], Outcome[]] = [[], []];
  for (let run = 0; run < runs; run += 1) {
    for (const [outcomes, enabled] of [
      [plain, false],
      [ahead, true],
    ] as const) {
      onProgress(`follow-ups ${enabled ? 'with' : 'without'} prefetching, round ${run + 1} of ${runs}`);
      outcomes.push(await converse(enabled, run + 1));
    }
  }
  const share = ({ hits, followUps }: Outcome) => (100 * hits) / followUps;
  const count = (name: string) => ahead.map(({ counts }) => counts[name] as number);
  return {
    figures: [
      figure({ name: 'follow-ups that were computed already', unit: '%', samples: ahead.map(share) }),
      figure({ name: 'follow-ups that were computed already, no prefetching', unit: '%', samples: plain.map(share) }),
      figure({
        name: 'follow-up, mean',
        unit: 'ms',
        samples: ahead.map(({ meanMs }) => meanMs),
        reference: { name: 'no prefetching', samples: plain.map(({ meanMs }) => meanMs) },
      }),
      figure({ name: 'answers computed ahead', unit: 'requests', samples: count('computed') }),
      figure({
        name: 'answers computed ahead that nobody asked for in time',
        unit: '%',
        samples: ahead.map(
          ({ counts }) => (100 * ((counts['computed'] as number) - (counts['used'] as number))) / Math.max(1, counts['computed'] as number),
        ),
      }),
    ],
    notes: [
      `Prefetch: ${topics} topics in turn, ${judgedTurns} times each after ${learnTurns} to learn from; ${usualShare * 100} % of the questions are followed by the topic's usual one after ${thinkMs} ms, the others by one that was never asked. The backend takes ${backendMs} ms; answers are good for 1 s, so a topic's last answers are gone when it comes round. Nothing else runs.`,
    ],
  };
}

async function converse(enabled: boolean, seed: number): Promise<Outcome> {
  const backend = await startBeside('./fake-backend-process.ts');
  backend.child.send({ delayMs: backendMs });
  const gateway = await startGateway({
    engines: [{ kind: 'openai', url: `${backend.url}/v1`, model: 'bench' }],
    cache: {
      enabled: true,
      ttl_seconds: 1,
      ttl_jitter: 0,
      stale_seconds: 0,
      early_refresh: 0,
      prefetch: { enabled, idle_ms: idleMs, tokens_per_minute: 10_000_000 },
    },
  });
  const pool = new Pool(gateway.url);
  const random = createRandom(seed);
  let hits = 0;
  const latenciesMs: number[] = [];
  const ask = async (text: string) => {
    const sentAt = performance.now();
    const { statusCode, headers, body } = await pool.request({
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(question(text)),
    });
    await body.dump();
    if (statusCode !== 200) throw new Error(`the gateway answered ${statusCode}`);
    return { isHit: headers['x-autoglm-cache'] === 'exact', ms: performance.now() - sentAt };
  };
  try {
    let before: Record<string, number> = {};
    for (let turn = enabled ? 0 : learnTurns; turn < learnTurns + judgedTurns; turn += 1) {
      const isJudged = turn >= learnTurns;
      if (turn === learnTurns) before = await counts(gateway.url);
      for (let topic = 0; topic < topics; topic += 1) {
        await ask(`Tell me about topic ${topic}.`);
        await sleep(thinkMs);
        const isUsual = random() < usualShare;
        const { isHit, ms } = await ask(isUsual ? `And what comes after topic ${topic}?` : `Something else, ${turn} ${topic}: what is it?`);
        if (!isJudged) continue;
        hits += Number(isHit);
        latenciesMs.push(ms);
      }
    }
    const after = await counts(gateway.url);
    return {
      hits,
      followUps: latenciesMs.length,
      meanMs: latenciesMs.reduce((sum, ms) => sum + ms, 0) / latenciesMs.length,
      counts: Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)])),
    };
  } finally {
    await pool.close();
    await Promise.all([gateway.stop(), backend.stop()]);
  }
}

/** What the prefetcher has counted. */
async function counts(url: string): Promise<Record<string, number>> {
  const { body } = await request(`${url}/metrics`);
  return Object.fromEntries(
    [...(await body.text()).matchAll(/^autoglm_prefetch_answers_total\{outcome="(\w+)"\} (\d+)$/gm)].map(([, name, value]) => [
      name as string,
      Number(value),
    ]),
  );
}
