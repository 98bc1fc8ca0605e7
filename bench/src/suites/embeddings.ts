import { defaultHome } from '@open-autoglm/engine';
import { openEncoder } from '@open-autoglm/engine/encoder';
import { resolveModel } from '@open-autoglm/engine/models';
import { openEmbeddingReference } from '@open-autoglm/engine/reference/embeddings';
import { measureLanes } from '../embeddings/lanes.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteMeasurements, SuiteOptions } from './suite.ts';

const batches = [1, 8, 32] as const;
/** Texts of a measurement, of any batch the same. */
const textCount = 96;
const warmups = 1;
/** As the embedding process has them: threads that sleep at once, and passes of so many tokens. */
const [poll, passTokens] = [0, 512];
const sentence = '明天下午三点在国贸店洗车，请帮我预约一位技师，顺便检查轮胎和雨刮器，谢谢。如果三点没有空位，四点以后也可以。';

/** Passages of one sentence, of 6 to 37 characters: what people look for is short. */
const texts = Array.from({ length: textCount }, (_, index) => sentence.slice(index % 7, (index % 7) + 6 + ((index * 11) % 32)));

/** Texts a second: together against one at a time, and against libllama with the same texts at a time. */
export const embeddingsSuite: Suite = {
  name: 'embeddings',
  description:
    'embeddings by bge-small-zh: 1, 8 and 32 texts at a time, against one at a time and against libllama; real time beside a batch lane',
  parts: ['texts', 'lanes'],
  numbers: [{ name: 'seconds', description: 'of each round of the lanes', default: 5 }],
  async run({ model, threads, runs, parts, numbers, onProgress }) {
    const seconds = numbers['seconds'] as number;
    const { path: modelPath, source } = await resolveModel({ model: model === 'default' ? 'bge-small-zh' : model, home: defaultHome() });
    const lanes = parts.has('lanes') ? await measureLanes({ model: modelPath, threads, runs, seconds, texts, onProgress }) : [];
    const { settings, figures } = parts.has('texts')
      ? await measureTexts(modelPath, source, { threads, runs, onProgress })
      : { settings: {}, figures: [] };
    return {
      settings: { model: source, threads, runs, ...settings, ...(lanes.length > 0 && { seconds }) },
      figures: [...figures, ...lanes],
      notes: notes.filter(({ part }) => parts.has(part)).map(({ text }) => text),
    };
  },
};

const notes = [
  { part: 'texts', text: 'Texts: the same in the same groups; tokenized beforehand for both. Rounds are interleaved.' },
  {
    part: 'lanes',
    text: 'Lanes: single texts in real time, at a fifth of what the model does, at the times of a Poisson process, beside eight lists of 32 texts that are always there: of the batch lane, and without lanes. Latency from when a text was due.',
  },
] as const;

async function measureTexts(
  modelPath: string,
  source: string,
  { threads, runs, onProgress }: Pick<SuiteOptions, 'threads' | 'runs' | 'onProgress'>,
): Promise<Pick<SuiteMeasurements, 'settings' | 'figures'>> {
  const encoder = openEncoder({ modelPath, id: 'bench', source, threads, poll, passTokens });
  const reference = openEmbeddingReference({ modelPath, threads, batchSize: 2048, maxSequences: Math.max(...batches) });
  const waker = new CoreWaker();
  try {
    const tokens = texts.map((text) => encoder.vocabulary.tokenizeWhole(text));
    const batchesOf = (size: number) =>
      Array.from({ length: textCount / size }, (_, index) => tokens.slice(index * size, (index + 1) * size));
    const rate = (run: () => void) => {
      const since = performance.now();
      run();
      return (textCount / (performance.now() - since)) * 1000;
    };
    const byEngine = (size: number) => async () =>
      rate(() => {
        for (const batch of batchesOf(size)) for (const pass of passes(batch)) encoder.encode(pass);
      });
    const byLibllama = (size: number) => async () =>
      rate(() => {
        for (const batch of batchesOf(size)) reference.embed(batch);
      });
    onProgress('texts together and one at a time');
    const measured = await interleave(
      batches.flatMap((size) => [byEngine(size), byLibllama(size)]),
      { runs, warmups, settle: () => waker.wake() },
    );
    const [single = []] = measured;
    const figures = batches.flatMap((size, index): Figure[] => {
      const [ours = [], theirs = []] = measured.slice(index * 2);
      const name = `${size} text${size === 1 ? '' : 's'} at a time`;
      return [
        figure({ name, unit: 'texts/s', samples: ours, reference: { name: 'libllama', samples: theirs }, goal: { atLeast: 1 } }),
        ...(size === 1 ? [] : [figure({ name, unit: 'texts/s', samples: ours, reference: { name: 'one at a time', samples: single } })]),
      ];
    });
    const tokenCount = tokens.reduce((sum, { length }) => sum + length, 0);
    return {
      settings: { 'weight type': encoder.info.weightType, texts: textCount, 'tokens a text': Math.round(tokenCount / textCount) },
      figures,
    };
  } finally {
    await waker.close();
    reference.close();
    encoder.close();
  }
}

/** As the engine cuts what waits: shortest first, while a pass has room. */
function passes(batch: readonly (readonly number[])[]): (readonly number[])[][] {
  const all: (readonly number[])[][] = [];
  let room = 0;
  for (const text of batch.toSorted((a, b) => a.length - b.length)) {
    if (text.length > room) {
      all.push([]);
      room = passTokens;
    }
    all.at(-1)?.push(text);
    room -= text.length;
  }
  return all;
}
