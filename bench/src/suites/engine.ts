import { setTimeout as sleep } from 'node:timers/promises';
import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { openLibllama } from '../contestants/libllama.ts';
import type { Contestant, DecodeTask } from '../contestants/contestant.ts';
import { makePrompt } from '../contestants/prompts.ts';
import { readBandwidth } from '../harness/bandwidth.ts';
import { interleave } from '../harness/interleave.ts';
import { describeMachine, describeVersions, loadWarning } from '../harness/machine.ts';
import { figure, type Figure } from '../harness/report.ts';
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
/** ggml's threads spin for some milliseconds after their last work. */
const settleMs = 30;
/** Well above any last-level cache. */
const dramWorkingSet = 512 * 2 ** 20;

/** The engine's core against libllama: the same kernels, GGUF, threads, prompts and number of steps. */
export const engineSuite: Suite = {
  name: 'engine',
  description: 'decode with 1, 4, 8 and 16 sequences and prefill of 512 tokens, in process, against libllama',
  async run(options) {
    const startedAt = new Date().toISOString();
    const machine = describeMachine();
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const common = { modelPath, threads: options.threads, sequenceLength, maxSequences: 16, maxPrompt: prefillLength };
    const engine = openEngine(common);
    const reference = openLibllama(common);
    try {
      const limits = await measureLimits(engine.model.bytesReadPerStep, options);
      const figures = [...(await measureDecodes(engine, reference, limits, options)), await measurePrefill(engine, reference, options)];
      const warning = loadWarning(machine);
      return {
        suite: 'engine', startedAt, machine, versions: describeVersions(),
        settings: { model: source, 'weight type': engine.model.info.weightType, kernels: engine.model.device.description, threads: options.threads, runs: options.runs },
        figures,
        notes: [...limits.notes, ...notes],
        warnings: warning === undefined ? [] : [warning],
      };
    } finally {
      await reference.close();
      await engine.close();
    }
  },
};

const notes = [
  `Both contestants read prompts of ${promptLength} tokens, then decode greedily; choosing the likeliest token of every row of logits is part of both times. ` +
    'The engine does its scheduling and its text as well; libllama does no more than a C program would.',
  'libllama: one KV part for each sequence (its unified buffer is slower), f16 KV, flash attention as it chooses, a thread pool of its own as in llama.cpp’s programs.',
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

async function measureDecodes(engine: EngineContestant, reference: Contestant, limits: Limits, options: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { sequences, steps, goal } of decodes) {
    const task: DecodeTask = { prompts: Array.from({ length: sequences }, (_, index) => promptOf(engine, promptLength, index * 7)), steps };
    const name = `decode, ${sequences} sequence${sequences === 1 ? '' : 's'}`;
    options.onProgress(name);
    const [ours = [], theirs = []] = await measureBoth(engine, reference, (contestant) => contestant.decode(task), options);
    figures.push(
      figure({
        name, unit: 'tokens/s', samples: ours,
        reference: { name: reference.name, samples: theirs },
        goal: { atLeast: goal },
        limit: sequences === 1 ? limits.singleDecode : undefined,
      }),
    );
  }
  return figures;
}

async function measurePrefill(engine: EngineContestant, reference: Contestant, options: SuiteOptions): Promise<Figure> {
  options.onProgress(`prefill, ${prefillLength} tokens`);
  const prompt = promptOf(engine, prefillLength, 0);
  const [ours = [], theirs = []] = await measureBoth(engine, reference, (contestant) => contestant.prefill(prompt), options);
  return figure({
    name: `prefill, ${prefillLength} tokens`, unit: 'tokens/s', samples: ours,
    reference: { name: reference.name, samples: theirs },
    goal: { atLeast: prefillGoal },
  });
}

function measureBoth(engine: Contestant, reference: Contestant, measure: (contestant: Contestant) => Promise<number>, { runs }: SuiteOptions): Promise<number[][]> {
  return interleave([() => measure(engine), () => measure(reference)], { runs, warmups, settle: () => sleep(settleMs) });
}

function promptOf({ model }: EngineContestant, length: number, variant: number): number[] {
  return makePrompt((text) => model.vocabulary.tokenize(text, false), length, variant);
}
