import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { median } from '@open-autoglm/statistics';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { measureSteps, speedOfPerfectDrafts } from '../speculation/perfect-drafts.ts';
import type { Suite } from './suite.ts';

const warmups = 1;

interface Task {
  readonly name: string;
  readonly question: string;
  /** The beginning of the answer that a capable model would give; a small one follows it. */
  readonly begun: string;
  readonly isCopying: boolean;
}

interface Texts {
  readonly article: string;
  readonly quote: string;
  readonly summarise: string;
  /** How a summary begins that is made of the article's sentences. */
  readonly summary: string;
  readonly poem: string;
  readonly explanation: string;
  readonly recommendation: string;
}

const chinese: Texts = {
  article:
    '洗车是汽车保养中最常见的一项工作。许多车主习惯在家门口用清水冲洗，但这样做容易在漆面上留下细小的划痕。专业的洗车店会先用高压水枪冲去泥沙，' +
    '再喷上中性的泡沫，等待三到五分钟，让污垢慢慢软化，然后用柔软的羊毛手套从车顶开始向下擦洗，最后用干净的毛巾把水擦干。冬天洗车以后，还要把车门打开晾一会儿，以免门缝结冰。',
  quote: '请逐字引用下面的文章：',
  summarise: '请用原文的句子概括要点。',
  summary: '要点如下：许多车主习惯在家门口用清水冲洗，但这样做容易在',
  poem: '写一首关于春天的诗。',
  explanation: '什么是光合作用？请解释。',
  recommendation: '推荐三本书，并说明理由。',
};
const english: Texts = {
  article:
    'Washing is the most common work in the care of a car. Many owners rinse it with clear water in front of their house, but that easily leaves fine scratches in the paint. ' +
    'A professional car wash first rinses off sand and mud with high pressure, then sprays a neutral foam and waits for three to five minutes, so that the dirt slowly softens. ' +
    'After that the car is wiped from the roof down with a soft glove of lambswool, and dried with a clean towel. In winter the doors should stay open for a while, or their seals will freeze.',
  quote: 'Quote this article word for word:',
  summarise: 'Summarise it in its own sentences.',
  summary: 'Many owners rinse it with clear water in front of their',
  poem: 'Write a poem about spring.',
  explanation: 'What is photosynthesis? Explain it.',
  recommendation: 'Recommend three books, and say why.',
};
const code = `function total(prices, tax) {
  let sum = 0;
  for (const price of prices) {
    if (price < 0) throw new Error('a price is negative');
    sum += price;
  }
  return sum * (1 + tax);
}

function average(prices) {
  if (prices.length === 0) return 0;
  return total(prices, 0) / prices.length;
}`;

function tasksIn({ article, quote, summarise, summary, poem, explanation, recommendation }: Texts): readonly Task[] {
  return [
    { name: 'copying: a text quoted', question: `${quote}\n${article}`, begun: article.slice(0, 24), isCopying: true },
    { name: "copying: a summary in the text's words", question: `${article}\n${summarise}`, begun: summary, isCopying: true },
    {
      name: 'copying: code edited',
      question: `Add a comment to this code:\n${code}`,
      begun: `// Prices and their average.\n${code.slice(0, 64)}`,
      isCopying: true,
    },
    { name: 'other: a poem', question: poem, begun: '', isCopying: false },
    { name: 'other: an explanation', question: explanation, begun: '', isCopying: false },
    { name: 'other: a recommendation', question: recommendation, begun: '', isCopying: false },
  ];
}

/** In ChatML where the model knows its marks, else as TinyLlama was taught (Zephyr's). */
function promptOf({ model: { vocabulary } }: EngineContestant, { question, begun }: Task): string {
  const isChatMl = vocabulary.tokenize('<|im_start|>', true).length === 1;
  return isChatMl
    ? `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${begun}`
    : `<|user|>\n${question}</s>\n<|assistant|>\n${begun}`;
}

/** A model that spells Chinese out byte by byte has not learnt it. */
function textsFor({ model: { vocabulary } }: EngineContestant): Texts {
  return vocabulary.tokenize(chinese.article, false).length > chinese.article.length ? english : chinese;
}

function describe(costs: ReadonlyMap<number, number>): string {
  const [[, plainCost], ...several] = [...costs] as [[number, number], ...[number, number][]];
  return `${several.map(([width]) => width).join(', ')} tokens cost ${several.map(([, cost]) => (cost / plainCost).toFixed(1)).join(', ')}`;
}

/** Drafts by prompt lookup at batch 1: the same answers, with and without. */
export const speculationSuite: Suite = {
  name: 'speculation',
  description: 'prompt lookup on answers that copy and on others, one sequence, against the engine without it',
  parts: ['copying', 'other'],
  numbers: [{ name: 'answer-tokens', description: 'tokens of every answer', default: 192 }],
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const answerTokens = options.numbers['answer-tokens'] as number;
    const common = { modelPath, threads: options.threads, sequenceLength: 1024, maxSequences: 4, maxPrompt: 512 };
    const plain = openEngine(common, { name: 'without drafts' });
    const drafting = openEngine(common, { speculates: true, on: plain });
    const waker = new CoreWaker();
    try {
      const figures: Figure[] = [];
      const notes: string[] = [];
      for (const task of tasksIn(textsFor(plain)).filter(({ isCopying }) => options.parts.has(isCopying ? 'copying' : 'other'))) {
        const { name, isCopying } = task;
        options.onProgress(name);
        const prompt = promptOf(plain, task);
        let steps = 0;
        const measure = (engine: EngineContestant) => async () => {
          const answer = engine.answer(prompt, answerTokens);
          if (engine === drafting) steps = answer.steps;
          return answer.rate;
        };
        const [with_ = [], without = []] = await interleave([drafting, plain].map(measure), {
          runs: options.runs,
          warmups,
          settle: () => waker.wake(),
        });
        const depth = plain.model.vocabulary.tokenize(prompt, true).length + (answerTokens >> 1);
        const costs = await measureSteps(plain.model, depth, () => waker.wake());
        const limit = median(without) * speedOfPerfectDrafts(answerTokens - 1, costs);
        figures.push(
          figure({
            name,
            unit: 'tokens/s',
            samples: with_,
            limit,
            reference: { name: 'without drafts', samples: without },
            goal: { atLeast: isCopying ? 1.8 : 0.97 },
          }),
        );
        notes.push(`${name}: ${steps} steps for ${answerTokens - 1} tokens; after ${depth}, ${describe(costs)} plain steps.`);
      }
      return {
        settings: { model: source, threads: options.threads, runs: options.runs, 'answer tokens': answerTokens },
        figures,
        notes: [
          ...notes,
          'Both compute with the same weights in memory, and give the same tokens. An answer that copies has its first words given, since a small model would not begin to copy by itself. No answer ends early. The limit: every draft right, each step of the best width, at what steps cost here.',
        ],
      };
    } finally {
      await waker.close();
      await plain.close();
    }
  },
};
