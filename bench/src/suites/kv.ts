import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { median } from '@open-autoglm/statistics';
import { openEngine, request, type EngineContestant } from '../contestants/engine.ts';
import { openLibllama } from '../contestants/libllama.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { makePrompt } from '../contestants/prompts.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure, type FigureInput } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { measureBlocks } from './kv-blocks.ts';
import { measureServed } from './kv-served.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const promptLength = 16;
const prefillLength = 512;
const prefixLength = 1000;
const tailLength = 20;
const longPromptLength = 4000;
const sequenceLength = 4224;
const quietSteps = 32;
const decodes = [
  { sequences: 1, steps: 192 },
  { sequences: 4, steps: 128 },
  { sequences: 8, steps: 96 },
  { sequences: 16, steps: 96 },
] as const;
const warmups = 1;
/** What paging may cost beside the static cache: the noise of such a measurement. */
const againstStaticGoal = 0.97;
const againstLibllamaGoal = 1;

/** Paged keys and values against static ones and libllama, and what sharing brings. */
export const kvSuite: Suite = {
  name: 'kv',
  description:
    'paged keys and values: speed against static ones and libllama, shared prefixes, hit rate, memory, a long prompt beside a stream',
  parts: ['prefix', 'stall', 'speed', 'blocks', 'served'],
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const common = { modelPath, threads: options.threads, sequenceLength, maxSequences: 16, maxPrompt: prefillLength };
    const paged = openEngine(common, { name: 'paged' });
    const others = [
      openEngine(common, { name: 'static', kvCache: { strategy: 'static', type: 'f16' }, multipliesAs: paged }),
      openLibllama(common, { keepsThreads: false }),
    ];
    const contest = { paged, others, waker: new CoreWaker() };
    try {
      const { parts } = options;
      const blocks = parts.has('blocks') ? measureBlocks(options) : { figures: [], notes: [] };
      const figures = [
        ...(parts.has('prefix') ? await measurePrefix(contest, options) : []),
        ...(parts.has('stall') ? await measureStall(contest, options) : []),
        ...(parts.has('speed') ? await measureSpeed(contest, options) : []),
      ];
      // Last: it leaves the cache of `paged` full of the trace.
      const served = parts.has('served') ? measureServed(paged, options) : { figures: [], notes: [] };
      return {
        settings: {
          model: source,
          'weight type': paged.model.info.weightType,
          kernels: paged.model.device.description,
          threads: options.threads,
          runs: options.runs,
        },
        figures: [...figures, ...blocks.figures, ...served.figures],
        notes: [...notes, ...blocks.notes, ...served.notes],
      };
    } finally {
      await contest.waker.close();
      for (const contestant of [...others, paged]) await contestant.close();
    }
  },
};

const notes = [
  `Shared prefix: a prompt of ${prefixLength + tailLength} tokens that is new, then one with the same first ${prefixLength} and other ${tailLength}; milliseconds from the request to its first token, in process.`,
  `Long prompt: a sequence decodes while a prompt of ${longPromptLength} tokens is read; between two of its tokens lie its own step and one chunk, of which the smallest has 64 tokens. With no arrival: ${quietSteps} steps before it, of the sequence alone.`,
  'Decode and prefill: no prompt has been seen before. Rounds are interleaved; a ratio is the median over pairs of one round, with a bootstrap interval. Paged and static multiply the same way, as it was measured when the paged one was loaded. libllama as its API comes.',
];

interface Contest {
  readonly paged: EngineContestant;
  /** The static cache, then libllama. */
  readonly others: readonly Contestant[];
  readonly waker: CoreWaker;
}

async function measurePrefix({ paged, waker }: Contest, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('shared prefix');
  const firsts: number[] = [];
  const seconds: number[] = [];
  for (let round = -warmups; round < runs; round += 1) {
    const prefix = promptOf(paged, prefixLength, round + warmups);
    const cacheScope = `prefix ${round}`;
    for (const [index, times] of [firsts, seconds].entries()) {
      await waker.wake();
      const time = timeFirstToken(paged, [...prefix, ...promptOf(paged, tailLength, 40 + index)], cacheScope);
      if (round >= 0) times.push(time);
    }
  }
  return [
    figure({
      name: `first token, ${prefixLength} of ${prefixLength + tailLength} prompt tokens known`,
      unit: 'ms',
      samples: seconds,
      reference: { name: 'none known', samples: firsts },
      goal: { below: 0.1 },
    }),
  ];
}

/**
 * A stream's gaps while a long prompt is read, against its steps at that time, and against those of a stream beside which nothing arrives.
 */
async function measureStall({ paged, waker }: Contest, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('long prompt beside a stream');
  const rounds: { readonly worst: number; readonly median: number; readonly quiet: number }[] = [];
  for (let round = -warmups; round < Math.max(3, runs / 2); round += 1) {
    await waker.wake();
    const { beside, quiet } = gapsBeside(paged, promptOf(paged, promptLength, round + 9), promptOf(paged, longPromptLength, round + 5));
    if (round >= 0) rounds.push({ worst: Math.max(...beside), median: median(beside), quiet: median(quiet) });
  }
  const line = (input: Pick<FigureInput, 'reference' | 'goal'>) =>
    figure({
      name: `worst gap of a stream, ${longPromptLength}-token prompt`,
      unit: 'ms',
      samples: rounds.map(({ worst }) => worst),
      ...input,
    });
  return [
    line({ reference: { name: 'its median step meanwhile', samples: rounds.map((round) => round.median) }, goal: { below: 2 } }),
    line({ reference: { name: 'its median step with no arrival', samples: rounds.map(({ quiet }) => quiet) } }),
  ];
}

async function measureSpeed(contest: Contest, options: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { sequences, steps } of decodes) {
    const prompts = Array.from({ length: sequences }, (_, index) => promptOf(contest.paged, promptLength, index * 7));
    figures.push(
      ...(await compare(
        contest,
        (contestant) => contestant.decode({ prompts, steps }),
        `decode, ${sequences} sequence${sequences === 1 ? '' : 's'}`,
        options,
      )),
    );
  }
  const prompt = promptOf(contest.paged, prefillLength, 0);
  figures.push(...(await compare(contest, (contestant) => contestant.prefill(prompt), `prefill, ${prefillLength} tokens`, options)));
  return figures;
}

async function compare(
  { paged, others, waker }: Contest,
  measure: (contestant: Contestant) => Promise<number>,
  name: string,
  { runs, onProgress }: SuiteOptions,
): Promise<Figure[]> {
  onProgress(name);
  const contestants = [paged, ...others].map((contestant) => () => measure(contestant));
  const [ours = [], ...theirs] = await interleave(contestants, { runs, warmups, settle: () => waker.wake() });
  return others.map((reference, index) =>
    figure({
      name,
      unit: 'tokens/s',
      samples: ours,
      reference: { name: reference.name, samples: theirs[index] ?? [] },
      goal: { atLeast: index === 0 ? againstStaticGoal : againstLibllamaGoal },
    }),
  );
}

function timeFirstToken({ core }: EngineContestant, prompt: readonly number[], cacheScope: string): number {
  const start = performance.now();
  core.add(request('prompt', prompt, 1, cacheScope));
  while (!core.idle) core.step();
  return performance.now() - start;
}

/** Milliseconds between the tokens of a stream: with nothing else, then from the arrival of a long prompt to its first token. */
function gapsBeside(
  { core }: EngineContestant,
  stream: readonly number[],
  long: readonly number[],
): { readonly quiet: readonly number[]; readonly beside: readonly number[] } {
  core.add(request('stream', stream, undefined));
  core.step();
  const quiet = Array.from({ length: quietSteps }, () => timeOf(() => core.step()));
  core.add(request('long', long, 1));
  const beside: number[] = [];
  let outputs: ReturnType<typeof core.step> = [];
  while (!outputs.some(({ id, part }) => id === 'long' && part.type === 'prompt-end')) beside.push(timeOf(() => (outputs = core.step())));
  core.abort('stream');
  return { quiet, beside };
}

function timeOf(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function promptOf({ model }: EngineContestant, length: number, variant: number): number[] {
  return makePrompt((text) => model.vocabulary.tokenize(text, false), length, variant);
}
