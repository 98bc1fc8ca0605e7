import { defaultHome } from '@open-autoglm/engine';
import { resolveModel } from '@open-autoglm/engine/models';
import { greedySampling, type ContextStrategy, type GenerateRequest, type OutputGrammar } from '@open-autoglm/protocol';
import { openEngine, type EngineContestant } from '../contestants/engine.ts';
import { figure, type Figure } from '../harness/report.ts';
import type { Suite } from './suite.ts';

const depths = [10, 30, 50, 70, 90];
const sinks = 64;
const window = 320;
const strategies = {
  full: { kind: 'full' },
  window: { kind: 'window', sinks, window },
  attention: { kind: 'attention', sinks, window },
} as const satisfies Record<string, ContextStrategy>;
type StrategyName = keyof typeof strategies;
const names = Object.keys(strategies) as StrategyName[];

/** Who keeps what: the needle is which thing belongs to whom. */
const people = ['王芳', '李强', '张敏', '刘洋', '陈静', '赵磊', '周婷', '吴刚'];
const things = ['钢琴', '帆船', '望远镜', '自行车', '照相机', '小提琴', '显微镜', '热气球'];
const filler = [
  '春天的早晨，街角的面包店六点钟就开门了。',
  '下雨的时候，街上的行人少了，他就坐在窗边看书。',
  '好的面团不能着急，温度高一度或者低一度都不行。',
  '附近学校的老师常常提前打电话预订。',
  '河边的柳树已经发芽，孩子们在草地上放风筝。',
  '图书馆里很安静，只听得见翻书的声音。',
  '冬天要等四个小时，夏天两个小时就够了。',
  '火车在山谷里慢慢地走，窗外是一片一片的稻田。',
  '傍晚的市场很热闹，卖鱼的人大声地叫着价钱。',
  '医生说，多喝水，多休息，过几天就会好起来。',
];
const continuation = '面包的香味从门缝里飘出去，路过的人总会停下来，往里面看一眼。店里最受欢迎的是一种加了核桃和红枣的全麦面包。';

/** Token ids of a text of about `length` tokens, with the needle at `depth` per cent of it and the question at its end. */
function haystack(
  { model: { vocabulary } }: EngineContestant,
  { length, depth, needle, question, turn }: { length: number; depth: number; needle: string; question: string; turn: number },
): number[] {
  const tokens = (text: string) => vocabulary.tokenize(text, true);
  const text: number[] = [];
  let isPlanted = false;
  for (let index = turn; text.length < length || !isPlanted; index += 1) {
    if (!isPlanted && text.length >= (length * depth) / 100) {
      text.push(...tokens(needle));
      isPlanted = true;
    }
    text.push(...tokens(filler[(index * 7) % filler.length] as string));
  }
  return [
    ...tokens('<|im_start|>user\n'),
    ...text,
    ...tokens(`\n${question.split('|')[0]}<|im_end|>\n<|im_start|>assistant\n${question.split('|')[1]}`),
  ];
}

interface Scored {
  /** Mean natural logarithm of the probability of the text's tokens. */
  readonly logprob: number;
}

/** How likely each text is to follow the prompt. */
function score(
  { core }: EngineContestant,
  prompt: readonly number[],
  texts: readonly string[],
  contextStrategy: ContextStrategy,
  cacheScope: string,
): readonly Scored[] {
  for (const [index, text] of texts.entries())
    core.add(literal(String(index), prompt, { kind: 'literal', text }, { contextStrategy, cacheScope }));
  const sums = texts.map(() => ({ logprob: 0, count: 0 }));
  while (!core.idle) {
    for (const { id, part } of core.step()) {
      const sum = sums[Number(id)] as (typeof sums)[number];
      if (part.type !== 'text-delta') continue;
      for (const { logprob } of part.logprobs ?? []) {
        sum.logprob += logprob;
        sum.count += 1;
      }
    }
  }
  return sums.map(({ logprob, count }) => ({ logprob: logprob / count }));
}

function literal(
  id: string,
  prompt: readonly number[],
  grammar: OutputGrammar | undefined,
  changes: Partial<GenerateRequest>,
): GenerateRequest {
  return {
    id,
    prompt: { tokens: prompt },
    sampling: greedySampling,
    maxTokens: 200,
    stop: [],
    topLogprobs: 0,
    ...(grammar && { grammar }),
    ...changes,
  };
}

/** Per cent of needles whose thing is the likeliest of four to follow. */
function findNeedles(
  engine: EngineContestant,
  strategy: ContextStrategy,
  { depth, length, needles, scopes }: { depth: number; length: number; needles: number; scopes: (turn: number) => string },
): number {
  const hits: number[] = [];
  for (let turn = 0; turn < needles; turn += 1) {
    const person = people[turn % people.length] as string;
    const thing = things[(turn * 3 + depth) % things.length] as string;
    const choices = [thing, ...things.filter((other) => other !== thing).slice(turn % 4, (turn % 4) + 3)];
    const prompt = haystack(engine, {
      length,
      depth,
      needle: `${person}最喜欢的东西是${thing}。`,
      question: `${person}最喜欢的东西是什么？|${person}最喜欢的东西是`,
      turn,
    });
    const scored = score(engine, prompt, choices, strategy, scopes(turn));
    hits.push(scored.every(({ logprob }) => logprob <= (scored[0] as Scored).logprob) ? 100 : 0);
  }
  return hits.reduce((sum, hit) => sum + hit, 0) / hits.length;
}

/** Tokens per second of an answer to a long prompt, from its first token on, and the most that the cache held for it. */
function rate(
  { core }: EngineContestant,
  prompt: readonly number[],
  contextStrategy: ContextStrategy,
): { readonly rate: number; readonly usedTokens: number } {
  core.add({ ...literal('rate', prompt, undefined, { contextStrategy, cacheScope: 'rate' }), topLogprobs: undefined, maxTokens: 257 });
  let startedAt: number | undefined;
  let usedTokens = 0;
  while (!core.idle) {
    if (core.step().length > 0) startedAt ??= performance.now();
    usedTokens = Math.max(usedTokens, core.stats().kvUsedTokens);
  }
  return { rate: 256 / ((performance.now() - (startedAt as number)) / 1000), usedTokens };
}

/** What a bounded context loses and saves, beside the whole one. */
export const contextSuite: Suite = {
  name: 'context',
  description:
    'needles, perplexity, memory and speed: the whole context against a window with sinks and keeping by attention, at the same size',
  numbers: [
    { name: 'length', description: 'tokens of the text that the needles are in', default: 1000 },
    { name: 'needles', description: 'needles at each depth', default: 8 },
  ],
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const { length, needles } = options.numbers as { length: number; needles: number };
    const engine = openEngine({ modelPath, threads: options.threads, sequenceLength: 2 * length, maxSequences: 4, maxPrompt: 512 });
    try {
      const figures: Figure[] = [];
      const peak = new Map<StrategyName, number>();
      const found = new Map<string, number>();
      for (const depth of depths) {
        for (const name of names) {
          options.onProgress(`needle at ${depth} %: ${name}`);
          const percent = findNeedles(engine, strategies[name], { depth, length, needles, scopes: (turn) => `${name} ${depth} ${turn}` });
          found.set(`${name} ${depth}`, percent);
          figures.push(
            figure({
              name: `needle at ${depth} %: ${name}`,
              unit: '%',
              samples: [percent],
              ...besideFull(name, found.get(`full ${depth}`)),
            }),
          );
        }
      }
      // The next turn sends the text again, and asks for what the window had dropped: nothing of it may be found that was computed without
      // the rest.
      const again = findNeedles(engine, strategies.full, { depth: 30, length, needles, scopes: (turn) => `window 30 ${turn}` });
      figures.push(
        figure({
          name: 'needle at 30 %, asked again in full after the window dropped it',
          unit: '%',
          samples: [again],
          reference: { name: 'full', samples: [found.get('full 30') as number] },
        }),
      );
      const prompt = haystack(engine, { length, depth: 50, needle: '', question: '请继续写。|', turn: 0 });
      const perplexities = names.map((name) =>
        Math.exp(-(score(engine, prompt, [continuation], strategies[name], `perplexity ${name}`)[0] as Scored).logprob),
      );
      for (const [index, name] of names.entries()) {
        figures.push(
          figure({
            name: `perplexity of what follows: ${name}`,
            unit: 'tokens',
            samples: [perplexities[index] as number],
            ...besideFull(name, perplexities[0]),
          }),
        );
      }
      const rates = new Map(names.map((name) => [name, [] as number[]]));
      for (let run = -1; run < options.runs; run += 1)
        for (const name of names) {
          const measured = rate(engine, prompt, strategies[name]);
          peak.set(name, measured.usedTokens);
          if (run >= 0) rates.get(name)?.push(measured.rate);
        }
      for (const name of names)
        figures.push(
          figure({
            name: `keys and values held at most by one answer: ${name}`,
            unit: 'tokens',
            samples: [peak.get(name) as number],
            ...besideFull(name, peak.get('full')),
          }),
        );
      for (const name of names)
        figures.push(
          figure({
            name: `decode after the prompt: ${name}`,
            unit: 'tokens/s',
            samples: rates.get(name) as number[],
            ...(name !== 'full' && { reference: { name: 'full', samples: rates.get('full') as number[] } }),
          }),
        );
      return {
        settings: {
          model: source,
          threads: options.threads,
          runs: options.runs,
          'text tokens': length,
          'needles at each depth': needles,
          sinks,
          window,
        },
        figures,
        notes: [
          `A needle is found when its thing is the likeliest of four to follow (by the mean log-probability of its tokens): guessing finds 25 %. With ${needles} needles a depth, one more or less is ${(100 / needles).toFixed(0)} %.`,
          'Asked again, the whole text is in the messages: it is computed from them, but for what was read before anything was dropped.',
        ],
      };
    } finally {
      await engine.close();
    }
  },
};

function besideFull(
  name: StrategyName,
  value: number | undefined,
): { readonly reference?: { readonly name: string; readonly samples: readonly number[] } } {
  return name === 'full' || value === undefined ? {} : { reference: { name: 'full', samples: [value] } };
}
