import { defaultHome } from '@open-autoglm/engine';
import type { ModelTuning } from '@open-autoglm/engine/core';
import { resolveModel } from '@open-autoglm/engine/models';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { makePrompt } from '../contestants/prompts.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const promptLength = 16;
const prefillLength = 512;
const warmups = 1;
const decodes = [
  { sequences: 1, steps: 128 },
  { sequences: 4, steps: 64 },
  { sequences: 16, steps: 64 },
] as const;

const full: ModelTuning = { fusesMatrices: true, keepsGraphs: true, measuresProducts: true };
const variants: readonly { readonly name: string; readonly tuning: ModelTuning }[] = [
  { name: 'q, k, v and gate, up apart', tuning: { ...full, fusesMatrices: false } },
  { name: 'a graph built for each step', tuning: { ...full, keepsGraphs: false } },
  { name: 'products as ggml has them', tuning: { ...full, measuresProducts: false } },
  { name: 'none of these', tuning: { fusesMatrices: false, keepsGraphs: false, measuresProducts: false } },
];

/** What each thing that is done to graphs for speed alone brings: the whole against the whole without it. */
export const graphsSuite: Suite = {
  name: 'graphs',
  description: 'fused products, kept graphs and measured products: the engine against itself without each',
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const common = { modelPath, threads: options.threads, sequenceLength: 1024, maxSequences: 16, maxPrompt: prefillLength };
    const whole = openEngine(common, { name: 'engine', tuning: full });
    // Measured again, ways to multiply would differ by more than what is compared.
    const engines = [
      whole,
      ...variants.map((variant) => openEngine(common, { ...variant, ...(variant.tuning.measuresProducts && { multipliesAs: whole }) })),
    ];
    const waker = new CoreWaker();
    try {
      const promptOf = (length: number, variant: number) =>
        makePrompt((text) => whole.model.vocabulary.tokenize(text, false), length, variant);
      const figures: Figure[] = [];
      for (const { sequences, steps } of decodes) {
        const task = { prompts: Array.from({ length: sequences }, (_, index) => promptOf(promptLength, index * 7)), steps };
        figures.push(
          ...(await compare(
            engines,
            waker,
            `decode, ${sequences} sequence${sequences === 1 ? '' : 's'}`,
            (engine) => engine.decode(task),
            options,
          )),
        );
      }
      const prompt = promptOf(prefillLength, 0);
      figures.push(...(await compare(engines, waker, `prefill, ${prefillLength} tokens`, (engine) => engine.prefill(prompt), options)));
      return {
        settings: { model: source, 'weight type': whole.model.info.weightType, threads: options.threads, runs: options.runs },
        figures,
        notes: [
          'Every row is the whole engine against the engine without one thing; the last against it without any. All whose products are measured multiply as it was measured for the first. Rounds are interleaved.',
        ],
      };
    } finally {
      await waker.close();
      for (const engine of engines) await engine.close();
    }
  },
};

async function compare(
  engines: readonly EngineContestant[],
  waker: CoreWaker,
  name: string,
  measure: (engine: EngineContestant) => Promise<number>,
  { runs, onProgress }: SuiteOptions,
): Promise<Figure[]> {
  onProgress(name);
  const [whole = [], ...without] = await interleave(
    engines.map((engine) => () => measure(engine)),
    { runs, warmups, settle: () => waker.wake() },
  );
  return without.map((samples, index) =>
    figure({ name, unit: 'tokens/s', samples: whole, reference: { name: engines[index + 1]?.name ?? '', samples } }),
  );
}
