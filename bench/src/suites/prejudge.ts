import { compileRules } from '@open-autoglm/gateway/parts';
import { quantile } from '@open-autoglm/statistics';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { makeWorkload } from '../prejudge/workload.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const ruleCount = 1000;
const textBytes = 8192;
const textCount = 100;
const roundsEach = 5;
const warmups = 2;
/** A nested repetition over text that nearly matches: native expressions take time that doubles with each character. */
const evilPattern = '(?:a+)+b';
const evilLengths = [8192, 81_920] as const;

/** Judging a request by a thousand rules, against a loop over as many native regular expressions. */
export const prejudgeSuite: Suite = {
  name: 'prejudge',
  description: 'judging a prompt of 8 KB by 1,000 rules, against a loop over native regular expressions',
  needsNoModel: true,
  async run(options) {
    const waker = new CoreWaker();
    try {
      return {
        settings: { rules: ruleCount, 'bytes of a prompt': textBytes, 'prompts a round': textCount * roundsEach, runs: options.runs },
        figures: [...(await measureRules(options, waker)), ...(await measureEvil(options))],
        notes,
      };
    } finally {
      await waker.close();
    }
  },
};

const notes = [
  'Rules and prompts are made up: half of the rules are two phrases each, a fifth phrases found through blanks and punctuation, the rest patterns. No prompt meets a rule, so each is looked for to the end. ' +
    'Half of the prompts are English, half Chinese.',
  'The reference looks for less: it does not fold widths, invisible characters or blanks.',
  `“Nested repetition”: ${evilPattern} on a run of the letter a. There is no reference: a native expression would not end.`,
];

async function measureRules({ runs, onProgress }: SuiteOptions, waker: CoreWaker): Promise<Figure[]> {
  onProgress('compiling rules');
  const { yaml, expressions, texts } = makeWorkload({ rules: ruleCount, texts: textCount, textBytes, seed: 7 });
  const startedAt = performance.now();
  const judge = await compileRules('rules.yaml', yaml);
  const compileMs = performance.now() - startedAt;
  const firstAt = performance.now();
  judge(texts[0] as string);
  const firstMs = performance.now() - firstAt;
  if (texts.some((text) => judge(text).length > 0)) throw new Error('a prompt meets a rule: the figures would be of something else');
  onProgress('judging');
  const judged: { readonly p50: number[]; readonly p99: number[] } = { p50: [], p99: [] };
  const looped: typeof judged = { p50: [], p99: [] };
  const measure = (into: typeof judged, look: (text: string) => void) => async () => {
    const latenciesMs: number[] = [];
    for (let round = 0; round < roundsEach; round += 1) {
      for (const text of texts) {
        const from = performance.now();
        look(text);
        latenciesMs.push(performance.now() - from);
      }
    }
    into.p50.push(quantile(latenciesMs, 0.5));
    into.p99.push(quantile(latenciesMs, 0.99));
    return quantile(latenciesMs, 0.5);
  };
  let met = 0;
  await interleave(
    [
      measure(judged, (text) => (met += judge(text).length)),
      measure(looped, (text) => {
        for (const expression of expressions) met += Number(expression.test(text));
      }),
    ],
    { runs, warmups, settle: () => waker.wake() },
  );
  if (met > 0) throw new Error('a prompt met a rule');
  const last = (samples: readonly number[]) => samples.slice(-runs);
  return [
    figure({ name: 'judging, p50', unit: 'ms', samples: last(judged.p50), reference: { name: 'RegExp loop', samples: last(looped.p50) } }),
    figure({ name: 'judging, p99', unit: 'ms', samples: last(judged.p99), reference: { name: 'RegExp loop', samples: last(looped.p99) } }),
    figure({ name: 'judging, p99', unit: 'ms', samples: last(judged.p99), goal: { below: 1 } }),
    figure({ name: 'judging, the first request', unit: 'ms', samples: [firstMs] }),
    figure({ name: 'reading and compiling the rules', unit: 'ms', samples: [compileMs] }),
  ];
}

async function measureEvil({ runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('nested repetition');
  const judge = await compileRules(
    'rules.yaml',
    JSON.stringify({ rules: [{ name: 'evil', find: { patterns: [evilPattern] }, refuse: {} }] }),
  );
  return evilLengths.map((length) => {
    const samples = Array.from({ length: runs + 1 }, () => {
      // Nearly a match, and one in which the text that every match contains occurs.
      const text = `b${'a'.repeat(length - 1)}`;
      const from = performance.now();
      judge(text);
      return performance.now() - from;
    }).slice(1);
    return figure({ name: `nested repetition, ${length / 1024} KB`, unit: 'ms', samples });
  });
}
