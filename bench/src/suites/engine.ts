import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { openLibllama } from '../contestants/libllama.ts';
import type { Contestant, DecodeTask } from '../contestants/contestant.ts';
import { makePrompt } from '../contestants/prompts.ts';
import { readBandwidth } from '../harness/bandwidth.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const promptLength = 16;
const prefillLength = 512;
const sequenceLength = 1024;
/** More steps for few sequences, so that each measurement takes about as long. */
const decodes = [
  { sequences: 1, steps: 192, goal: 1.05 },
  { sequences: 4, steps: 128, goal: 1 },
  { sequences: 8, steps: 96, goal: 1.15 },
  { sequences: 16, steps: 96, goal: 1.15 },
] as const;
const prefillGoal = 1;
const warmups = 2;
/** Well above any last-level cache. */
const dramWorkingSet = 512 * 2 ** 20;

/** The engine's core against libllama: the same kernels, GGUF, threads, prompts and number of steps. */
export const engineSuite: Suite = {
  name: 'engine',
  description: 'decode with 1, 4, 8 and 16 sequences and prefill of 512 tokens, in process, against libllama',
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const common = { modelPath, threads: options.threads, sequenceLength, maxSequences: 16, maxPrompt: prefillLength };
    const engine = openEngine(common);
    const contest = {
      engine,
      references: [openLibllama(common, { keepsThreads: false }), openLibllama(common, { keepsThreads: true })],
      waker: new CoreWaker(),
    };
    try {
      const limits = await measureLimits(engine.model.bytesReadPerStep, options);
      const figures = [...(await measureDecodes(contest, limits, options)), ...(await measurePrefill(contest, options))];
      return {
        settings: {
          model: source,
          'weight type': engine.model.info.weightType,
          kernels: engine.model.device.description,
          threads: options.threads,
          runs: options.runs,
        },
        figures,
        notes: [...limits.notes, ...notes],
      };
    } finally {
      await contest.waker.close();
      for (const reference of contest.references) await reference.close();
      await engine.close();
    }
  },
};

const notes = [
  `Both contestants read prompts of ${promptLength} tokens, then decode greedily; choosing the likeliest token of every row of logits is part of both times. ` +
    'The engine does its scheduling and its text as well; libllama does no more than a C program would.',
  'libllama: one KV part for each sequence (its unified buffer is slower), f16 KV, flash attention as it chooses. As its API comes it starts its threads anew for each call; “threads kept” has a thread pool attached, as llama.cpp’s own programs do. The goals are set against its API as it comes.',
  'Rounds are interleaved; a ratio is the median over pairs of one round, with a bootstrap interval.',
];

interface Limits {
  /** Tokens per second of a single sequence. */
  readonly singleDecode: number;
  readonly notes: readonly string[];
}

/** A decode step reads every weight once, so one sequence cannot be faster than the weights can be read. */
async function measureLimits(weightBytes: number, { threads, onProgress }: SuiteOptions): Promise<Limits> {
  onProgress('memory bandwidth');
  const dramSingle = await readBandwidth(dramWorkingSet, 1);
  const dram = await readBandwidth(dramWorkingSet, threads);
  // The caches can only help; where they do not, the two differ by noise.
  const resident = Math.max(dram, await readBandwidth(weightBytes, threads));
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB/s`;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  return {
    singleDecode: resident / weightBytes,
    notes: [
      `A decode step reads ${megabytes(weightBytes)} of weights. Read bandwidth: DRAM ${gigabytes(dramSingle)} with 1 thread, ${gigabytes(dram)} with ${threads}; ` +
        `over a working set of the weights' size, of which the caches may keep a part, ${gigabytes(resident)} with ${threads}. ` +
        `The limit of one sequence is the last of these over the bytes: ${(resident / weightBytes).toFixed(0)} tokens/s (from DRAM alone ${(dram / weightBytes).toFixed(0)}).`,
    ],
  };
}

interface Contest {
  readonly engine: EngineContestant;
  /** The goals are set against the first. */
  readonly references: readonly Contestant[];
  readonly waker: CoreWaker;
}

async function measureDecodes(contest: Contest, limits: Limits, options: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { sequences, steps, goal } of decodes) {
    const task: DecodeTask = {
      prompts: Array.from({ length: sequences }, (_, index) => promptOf(contest.engine, promptLength, index * 7)),
      steps,
    };
    const name = `decode, ${sequences} sequence${sequences === 1 ? '' : 's'}`;
    const limit = sequences === 1 ? limits.singleDecode : undefined;
    figures.push(...(await compare(contest, (contestant) => contestant.decode(task), { name, goal, limit }, options)));
  }
  return figures;
}

async function measurePrefill(contest: Contest, options: SuiteOptions): Promise<Figure[]> {
  const prompt = promptOf(contest.engine, prefillLength, 0);
  return compare(
    contest,
    (contestant) => contestant.prefill(prompt),
    { name: `prefill, ${prefillLength} tokens`, goal: prefillGoal },
    options,
  );
}

interface Row {
  readonly name: string;
  readonly goal: number;
  readonly limit?: number | undefined;
}

/** The engine beside each reference, all measured in turn. */
async function compare(
  { engine, references, waker }: Contest,
  measure: (contestant: Contestant) => Promise<number>,
  { name, goal, limit }: Row,
  { runs, onProgress }: SuiteOptions,
): Promise<Figure[]> {
  onProgress(name);
  const contestants = [engine, ...references].map((contestant) => () => measure(contestant));
  const [ours = [], ...theirs] = await interleave(contestants, { runs, warmups, settle: () => waker.wake() });
  return references.map((reference, index) =>
    figure({
      name,
      unit: 'tokens/s',
      samples: ours,
      limit,
      reference: { name: reference.name, samples: theirs[index] ?? [] },
      ...(index === 0 && { goal: { atLeast: goal } }),
    }),
  );
}

function promptOf({ model }: EngineContestant, length: number, variant: number): number[] {
  return makePrompt((text) => model.vocabulary.tokenize(text, false), length, variant);
}
