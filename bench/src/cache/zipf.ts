import { createRandom, median } from '@open-autoglm/statistics';
import { startGateway, type Served } from '../gateway/processes.ts';
import { figure, type Figure } from '../harness/report.ts';
import type { SuiteOptions } from '../suites/suite.ts';
import { loop, lookups, question, type Load } from './asking.ts';
import { zipf } from './parts.ts';

const keyCount = 10_000;
/** Taken as asked before: of Zipf(1.0) over 10,000 keys they are 93 % of the questions. */
const warmCount = 5000;
const clients = 16;
const answerTokens = 16;
/** Cache off, and cold. */
const windowMs = 5000;
/** Questions of the warm window. */
const warmQuestions = 2500;
const ttlSeconds = 300;

/**
 * What a cache saves the default model. A gateway without and one with a cache stand side by side, and take turns. Each round asks
 * questions of its own, so that it begins with a cache that knows none of them. Of the 5,000 likeliest only those are asked beforehand
 * that the warm window will ask: the others change nothing in it.
 */
export async function measureZipf(
  load: Load,
  { runs, onProgress }: SuiteOptions,
): Promise<{ readonly figures: Figure[]; readonly notes: string[] }> {
  const [off, cold, warm, hits]: [number[], number[], number[], number[]] = [[], [], [], []];
  const without = await startGateway({ cache: { enabled: false } });
  const cached = await startGateway({ cache: { enabled: true, ttl_seconds: ttlSeconds } }).catch((error: unknown) =>
    without.stop().then(() => Promise.reject(error as Error)),
  );
  try {
    for (let run = 0; run < runs; run += 1) {
      const bodies = Array.from({ length: keyCount }, (_, index) => ({
        ...question(`Round ${run}: what is ${index} plus ${(index * 7919) % 1000}?`),
        model: 'default',
        max_tokens: answerTokens,
      }));
      const order = zipf(keyCount, 50_000, createRandom(run + 1));
      const ask = (served: Served, which: readonly number[], bounds: { durationMs: number; requestsMax?: number }) =>
        loop(load, served, { body: {}, bodies, order: which, concurrency: clients, ...bounds });
      onProgress(`Zipf, cache off, round ${run + 1} of ${runs}`);
      off.push(rate(await ask(without, order, { durationMs: windowMs })));
      onProgress(`Zipf, cold, round ${run + 1} of ${runs}`);
      const begun = await ask(cached, order, { durationMs: windowMs });
      cold.push(rate(begun));
      const later = order.slice(begun.latenciesMs.length, begun.latenciesMs.length + warmQuestions);
      const likely = [...new Set(later)].filter((key) => key < warmCount);
      onProgress(`Zipf, asking ${likely.length} of the ${warmCount} likeliest, round ${run + 1} of ${runs}`);
      await ask(cached, likely, { durationMs: 600_000, requestsMax: likely.length });
      onProgress(`Zipf, warm, round ${run + 1} of ${runs}`);
      const before = await lookups(cached);
      warm.push(rate(await ask(cached, later, { durationMs: 600_000, requestsMax: later.length })));
      hits.push(100 * (1 - ((await lookups(cached)).miss - before.miss) / later.length));
    }
  } finally {
    await Promise.all([without.stop(), cached.stop()]);
  }
  const line = (name: string, samples: readonly number[], goal?: { readonly atLeast: number }) =>
    figure({ name, unit: 'req/s', samples, reference: { name: 'cache off', value: median(off), samples: off }, goal });
  return {
    figures: [
      line(`Zipf(1.0), ${clients} clients, first ${windowMs / 1000} s from an empty cache`, cold),
      line(`Zipf(1.0), ${clients} clients, warm`, warm, { atLeast: 10 }),
      figure({ name: 'Zipf(1.0), warm: questions that cost no computation', unit: '%', samples: hits }),
    ],
    notes: [
      `Zipf: ${clients} clients ask the default model for ${answerTokens} tokens, greedily, of ${keyCount} questions, a new set each round. Off and cold: ${windowMs / 1000} s. Warm: the next ${warmQuestions} questions, when those of them that are among the ${warmCount} likeliest had been asked before (the rest of these 5,000 changes nothing); all ${keyCount} answers fit into the cache.`,
      `What is warm: in the long run a cache that keeps answers for ${ttlSeconds} s is hit by ${(100 * steadyHits(median(warm))).toFixed(1)} % of such questions at the warm rate, by ${(100 * steadyHits(median(off))).toFixed(1)} % at the rate without a cache; the figure above says how many were hits here.`,
    ],
  };
}

function rate({ latenciesMs, elapsedMs }: { readonly latenciesMs: readonly number[]; readonly elapsedMs: number }): number {
  return (latenciesMs.length * 1000) / elapsedMs;
}

/**
 * The share of hits when every answer lives for the TTL from its computation: a key asked x times in that time is computed once in 1 + x.
 */
function steadyHits(perSecond: number): number {
  let [hits, sum] = [0, 0];
  for (let key = 1; key <= keyCount; key += 1) sum += 1 / key;
  for (let key = 1; key <= keyCount; key += 1) {
    const share = 1 / key / sum;
    const asked = perSecond * ttlSeconds * share;
    hits += (share * asked) / (1 + asked);
  }
  return hits;
}
