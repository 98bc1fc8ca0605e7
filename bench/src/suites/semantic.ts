import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultHome } from '@open-autoglm/engine';
import { openEncoder } from '@open-autoglm/engine/encoder';
import { resolveModel } from '@open-autoglm/engine/models';
import {
  compareWording,
  findDifference,
  Learner,
  QuestionIndex,
  readQuestion,
  unitVector,
  type Wording,
} from '@open-autoglm/gateway/semantic';
import { createRandom, quantile } from '@open-autoglm/statistics';
import { figure, type Figure } from '../harness/report.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const pairsFolder = fileURLToPath(new URL('../../../../shared/data/pairs/', import.meta.url));
const sets = [
  { name: 'QQP', file: 'qqp-en.jsonl', model: 'minilm' },
  { name: 'PAWS-X', file: 'pawsx-zh.jsonl', model: 'bge-small-zh' },
] as const;

/** As the gateway has them when nothing is configured. */
const [errorMax, checkShare, similarityMin] = [0.005, 0.05, 0.85];
/** Shares of wrong answers that others may tolerate. */
const tolerances = [0.02, 0.05];
const passTokens = 512;
const indexed = 10_000;
const lookups = 500;

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly same: 0 | 1;
}

interface JudgedPair extends Pair {
  readonly similarity: number;
  readonly difference: string | undefined;
  readonly wording: Wording;
}

/**
 * By a hash of the texts, so that the same pairs are judged however many there are. Rules are made with those of `learning` before one's
 * eyes, never with the others.
 */
interface Halves {
  readonly learning: readonly JudgedPair[];
  readonly judging: readonly JudgedPair[];
}

/** One question's answer is kept, the other is asked: right and wrong hits on labelled pairs, and what a lookup takes. */
export const semanticSuite: Suite = {
  name: 'semantic',
  description: 'answers of similar questions on QQP and PAWS-X pairs: wrong hits, recall, against one threshold for all; lookup time',
  parts: ['qqp', 'pawsx', 'lookup'],
  numbers: [{ name: 'pairs', description: 'pairs of each file', default: 20_000 }],
  async run(options) {
    const figures: Figure[] = [];
    const notes: string[] = [
      'Every pair is one request: a was asked before and its answer is kept, b is asked now. Learned on one half of the pairs, as checks would show it; the figures are of the other half, where it goes on checking and learning. A hash of the texts halves them; the newest rule (how can I, how do I) was made with the first half in view only. Each run checks others by chance. Equal texts are exact hits and left out.',
      'A hit is wrong where the file says that the two are not the same. The files err: they call pairs different that differ by a space.',
      'The one threshold is set, knowing the answers, to as many right hits on the same pairs.',
    ];
    for (const set of sets) {
      if (!options.parts.has(set.name.toLowerCase().replace('-', ''))) continue;
      if (!existsSync(pairsFolder + set.file)) throw new Error(`${set.file} is not in ../shared/data/pairs.`);
      const { pairs, vectors } = await embed(set.file, set.model, options);
      options.onProgress(`${set.name}: rules and checks`);
      const judged = judge(pairs, vectors);
      const halves = { learning: judged.filter(isForLearning), judging: judged.filter((pair) => !isForLearning(pair)) };
      figures.push(...measureHits(set.name, halves, options.runs, notes));
      if (set.name === 'QQP' && options.parts.has('lookup')) figures.push(...measureLookup(vectors));
    }
    return {
      settings: {
        runs: options.runs,
        'pairs at most': options.numbers['pairs'] as number,
        'share of wrong answers tolerated': errorMax,
        'share checked': checkShare,
        'similarity at least': similarityMin,
      },
      figures,
      notes,
    };
  },
};

async function embed(
  file: string,
  model: string,
  { threads, numbers, onProgress }: SuiteOptions,
): Promise<{ pairs: Pair[]; vectors: Map<string, Float32Array> }> {
  const pairs = readFileSync(pairsFolder + file, 'utf8')
    .trim()
    .split('\n')
    .slice(0, numbers['pairs'])
    .map((line) => JSON.parse(line) as Pair)
    .filter(({ a, b }) => a !== b);
  const { path: modelPath, source } = await resolveModel({ model, home: defaultHome() });
  const encoder = openEncoder({ modelPath, id: 'bench', source, threads, poll: 0, passTokens });
  const vectors = new Map<string, Float32Array>();
  try {
    const texts = [...new Set(pairs.flatMap(({ a, b }) => [a, b]))].map((text) => ({
      text,
      tokens: encoder.vocabulary.tokenizeWhole(text).slice(0, encoder.info.contextLength),
    }));
    texts.sort((a, b) => a.tokens.length - b.tokens.length);
    for (let from = 0, done = 0; from < texts.length;) {
      const count = Math.max(1, Math.floor(passTokens / Math.max(...texts.slice(from, from + 64).map(({ tokens }) => tokens.length))));
      const pass = texts.slice(from, from + count);
      for (const [index, vector] of encoder.encode(pass.map(({ tokens }) => tokens)).entries())
        vectors.set((pass[index] as { text: string }).text, unitVector(vector) as Float32Array);
      from += count;
      if (from - done > 5000) onProgress(`${file}: ${(done = from)} of ${texts.length} embeddings`);
    }
  } finally {
    encoder.close();
  }
  return { pairs, vectors };
}

function judge(pairs: readonly Pair[], vectors: ReadonlyMap<string, Float32Array>): JudgedPair[] {
  return pairs.map((pair) => {
    const [a, b] = [vectors.get(pair.a) as Float32Array, vectors.get(pair.b) as Float32Array];
    const [left, right] = [readQuestion(pair.a), readQuestion(pair.b)];
    return {
      ...pair,
      similarity: a.reduce((sum, value, at) => sum + value * (b[at] as number), 0),
      difference: findDifference(left, right),
      wording: compareWording(left, right),
    };
  });
}

function isForLearning({ a, b }: Pair): boolean {
  return hash('sha256', [a, b].toSorted().join('\n'), 'buffer').readUInt32BE() % 2 === 0;
}

/** The hits among the pairs that are judged. */
function askAll({ learning, judging }: Halves, tolerated: number, seed: number): JudgedPair[] {
  const learner = new Learner({ errorMax: tolerated, checkShare, entriesMax: 1e6, random: createRandom(seed) });
  serve(learning, learner);
  return serve(judging, learner);
}

function measureHits(name: string, halves: Halves, runs: number, notes: string[]): Figure[] {
  const { judging: judged } = halves;
  const positives = judged.filter(({ same }) => same === 1).length;
  const wrongHits = new Map<string, string>();
  const rounds = Array.from({ length: runs }, (_, run) => {
    const hits = askAll(halves, errorMax, run + 1);
    const wrong = hits.filter(({ same }) => same === 0);
    for (const { a, b, wording, similarity } of wrong) wrongHits.set(`${a} | ${b}`, `${wording}, ${similarity.toFixed(3)}`);
    const right = hits.length - wrong.length;
    return {
      hits: hits.length,
      wrongCount: wrong.length,
      wrong: share(wrong.length, hits.length),
      recall: share(right, positives),
      byOne: wrongByOneThreshold(judged, right),
      apart: wrong.filter(differByNumberOrDenial).length,
    };
  });
  const apart = judged.filter((pair) => pair.same === 0 && differByNumberOrDenial(pair)).length;
  const floor = judged.filter(({ a, b }) => written(a) === written(b));
  const middle = rounds.toSorted((a, b) => a.wrong - b.wrong)[Math.floor(runs / 2)] as (typeof rounds)[number];
  const [low, high] = wilson(middle.wrongCount, middle.hits);
  notes.push(
    `${name}: ${judged.length} pairs judged, ${positives} of them the same by the file, ${apart} different by a number or a negation. Of ${floor.length} that differ by nothing but capitals and punctuation the file calls ${floor.filter(({ same }) => same === 0).length} different.`,
    `${name}, the middle run: ${middle.wrongCount} of ${middle.hits} hits wrong by the file, ${low.toFixed(2)} … ${high.toFixed(2)} % (Wilson, 95 %)${middle.hits < 3 / errorMax ? `; with fewer than ${Math.ceil(3 / errorMax)} hits not even none would show ${errorMax * 100} %` : ''}.`,
    ...[...wrongHits].map(([pair, how]) => `${name}, called a wrong hit by the file (${how}): ${pair}`),
  );
  const byOne = rounds.map((round) => round.byOne);
  return [
    figure({ name: `${name}: wrong of the hits`, unit: '%', samples: rounds.map(({ wrong }) => wrong), goal: { below: 0.501 } }),
    figure({ name: `${name}: hits`, unit: 'requests', samples: rounds.map(({ hits }) => hits) }),
    ...(byOne.every((value) => value > 0)
      ? [
          figure({
            name: `${name}: wrong of the hits`,
            unit: '%',
            samples: rounds.map(({ wrong }) => wrong),
            reference: { name: 'one threshold', samples: byOne },
          }),
        ]
      : []),
    figure({ name: `${name}: recall`, unit: '%', samples: rounds.map(({ recall }) => recall) }),
    figure({
      name: `${name}: wrong hits, another number or denial`,
      unit: 'requests',
      samples: rounds.map((round) => round.apart),
      goal: { below: 1 },
    }),
    ...tolerances.flatMap((tolerated) => measureTolerance(name, halves, positives, tolerated, runs)),
  ];
}

/** What more may be had by who tolerates more. */
function measureTolerance(name: string, halves: Halves, positives: number, tolerated: number, runs: number): Figure[] {
  const rounds = Array.from({ length: runs }, (_, run) => askAll(halves, tolerated, run + 1)).map((hits) => ({
    hits: hits.length,
    right: hits.filter(({ same }) => same === 1).length,
  }));
  return [
    figure({
      name: `${name}, error_max ${tolerated}: wrong of the hits`,
      unit: '%',
      samples: rounds.map(({ hits, right }) => share(hits - right, hits)),
    }),
    figure({ name: `${name}, error_max ${tolerated}: recall`, unit: '%', samples: rounds.map(({ right }) => share(right, positives)) }),
  ];
}

/** Where a share lies of which so many of so many were seen, with 95 % confidence, in per cent (Wilson 1927). */
function wilson(part: number, whole: number): readonly [low: number, high: number] {
  if (whole === 0) return [0, 100];
  const [z, seen] = [1.96, part / whole];
  const middle = (seen + (z * z) / (2 * whole)) / (1 + (z * z) / whole);
  const half = (z / (1 + (z * z) / whole)) * Math.sqrt((seen * (1 - seen)) / whole + (z * z) / (4 * whole * whole));
  return [100 * Math.max(0, middle - half), 100 * (middle + half)];
}

/** The pairs whose kept answer was given; of the others with a candidate the learner hears how it would have been. */
function serve(pairs: readonly JudgedPair[], learner: Learner): JudgedPair[] {
  return pairs.filter(({ a, similarity, wording, difference, same }) => {
    if (difference !== undefined || similarity < similarityMin) return false;
    const candidate = { key: a, similarity, wording };
    if (learner.decide(candidate) === 'serve') return true;
    learner.learn(candidate, same === 1);
    return false;
  });
}

/** The share of wrong hits of the highest threshold that gives so many right ones. */
function wrongByOneThreshold(pairs: readonly JudgedPair[], rightHits: number): number {
  let [right, wrong] = [0, 0];
  for (const { same } of pairs.toSorted((a, b) => b.similarity - a.similarity)) {
    if (right >= rightHits) break;
    if (same === 1) right += 1;
    else wrong += 1;
  }
  return share(wrong, right + wrong);
}

/** By other means than the rules': digits as written, and words that deny. */
function differByNumberOrDenial({ a, b }: Pair): boolean {
  const digits = (text: string) => (text.match(/\d+/g) ?? []).toSorted().join(' ');
  const denials = (text: string) => (text.toLowerCase().match(/\b(?:not|no|never|without|cannot)\b|n['’]t\b|不|没|无|未/g) ?? []).length;
  return digits(a) !== digits(b) || denials(a) !== denials(b);
}

function written(text: string): string {
  return text.toLowerCase().replace(/[\s\p{P}]+/gu, '');
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}

/** Finding neighbours among so many of one scope, reading the question, and all rules for each. */
function measureLookup(vectors: ReadonlyMap<string, Float32Array>): Figure[] {
  const all = [...vectors];
  const index = new QuestionIndex({ entriesMax: indexed, bytesMax: 1e9 });
  for (const [text, vector] of all.slice(0, indexed)) index.add({ key: text, scope: 'bench', text }, vector);
  const times = all.slice(-lookups).map(([text, vector]) => {
    const since = performance.now();
    const reading = readQuestion(text);
    for (const neighbour of index.find('bench', vector, similarityMin, 8)) {
      const other = readQuestion(neighbour.text);
      if (findDifference(reading, other) === undefined) compareWording(reading, other);
    }
    return performance.now() - since;
  });
  return [0.5, 0.99].map((level) =>
    figure({
      name: `lookup among ${Math.min(indexed, all.length).toLocaleString('en')}, p${level * 100}`,
      unit: 'ms',
      samples: [quantile(times, level)],
    }),
  );
}
