import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite } from './suite.ts';

const warmups = 1;

const article =
  '洗车是汽车保养中最常见的一项工作。许多车主习惯在家门口用清水冲洗，但这样做容易在漆面上留下细小的划痕。专业的洗车店会先用高压水枪冲去泥沙，' +
  '再喷上中性的泡沫，等待三到五分钟，让污垢慢慢软化，然后用柔软的羊毛手套从车顶开始向下擦洗，最后用干净的毛巾把水擦干。冬天洗车以后，还要把车门打开晾一会儿，以免门缝结冰。';
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

interface Task {
  readonly name: string;
  readonly question: string;
  readonly begun: string;
  readonly isCopying: boolean;
}

/** The begun answer is the one that such a request gets of a capable model; the small default model follows it. */
const tasks: readonly Task[] = [
  { name: 'copying: a text quoted', question: `请逐字引用下面的文章：\n${article}`, begun: article.slice(0, 24), isCopying: true },
  { name: 'copying: a summary in the text\'s words', question: `${article}\n请用原文的句子概括要点。`, begun: `要点如下：${article.slice(14, 40)}`, isCopying: true },
  { name: 'copying: code edited', question: `Add a comment to this code:\n${code}`, begun: `// Prices and their average.\n${code.slice(0, 64)}`, isCopying: true },
  { name: 'other: a poem', question: '写一首关于春天的诗。', begun: '', isCopying: false },
  { name: 'other: an explanation', question: '什么是光合作用？请解释。', begun: '', isCopying: false },
  { name: 'other: a recommendation', question: '推荐三本书，并说明理由。', begun: '', isCopying: false },
];

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
    const [drafting, plain] = [openEngine(common, { speculates: true }), openEngine(common, { name: 'without drafts' })];
    const waker = new CoreWaker();
    try {
      const figures: Figure[] = [];
      const notes: string[] = [];
      for (const { name, question, begun, isCopying } of tasks.filter((task) => options.parts.has(task.isCopying ? 'copying' : 'other'))) {
        options.onProgress(name);
        const prompt = `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${begun}`;
        let steps = 0;
        const measure = (engine: EngineContestant) => async () => {
          const answer = engine.answer(prompt, answerTokens);
          if (engine === drafting) steps = answer.steps;
          return answer.rate;
        };
        const [with_ = [], without = []] = await interleave([drafting, plain].map(measure), { runs: options.runs, warmups, settle: () => waker.wake() });
        figures.push(figure({ name, unit: 'tokens/s', samples: with_, reference: { name: 'without drafts', samples: without }, goal: { atLeast: isCopying ? 1.8 : 0.97 } }));
        notes.push(`${name}: ${steps} steps for ${answerTokens - 1} tokens.`);
      }
      return {
        settings: { model: source, threads: options.threads, runs: options.runs, 'answer tokens': answerTokens },
        figures,
        notes: [...notes, 'Both give the same tokens. An answer that copies has its first words given, since the small default model would not begin to copy by itself. No answer ends early.'],
      };
    } finally {
      await waker.close();
      for (const engine of [drafting, plain]) await engine.close();
    }
  },
};
