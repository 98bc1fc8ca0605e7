import { defaultHome } from '@open-autoglm/engine';
import { ConstraintCompiler, EngineCore, openModel, type LoadedModel } from '@open-autoglm/engine/core';
import { resolveModel } from '@open-autoglm/engine/models';
import { greedySampling, type GenerateRequest, type OutputGrammar, type Sampling } from '@open-autoglm/protocol';
import { makePrompt } from '../contestants/prompts.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const promptLength = 16;
const steps = 192;
const warmups = 2;
const maxChunk = 512;
const largeVocabulary = 151_000;

/** An answer that never ends, of texts, numbers, choices and lists. */
const grammar: OutputGrammar = {
  kind: 'json',
  param: 'schema',
  schema: {
    type: 'array',
    minItems: 1_000_000,
    items: {
      type: 'object',
      properties: {
        name: { type: 'string', maxLength: 24 },
        age: { type: 'integer', minimum: 0, maximum: 150 },
        note: { type: 'string' },
        colours: { type: 'array', items: { enum: ['红', '黄', 'blue'] }, maxItems: 4 },
      },
      required: ['name', 'age', 'note', 'colours'],
      additionalProperties: false,
    },
  },
};

const samplings: readonly (readonly [string, Sampling])[] = [
  ['greedy', greedySampling],
  ['temperature 1', { ...greedySampling, temperature: 1, seed: 7 }],
  ['temperature 1, top-p 0.9', { ...greedySampling, temperature: 1, topP: 0.9, seed: 7 }],
];

/** What it costs to hold an answer to a JSON Schema: the same engine, with the constraint and without. */
export const constraintsSuite: Suite = {
  name: 'constraints',
  description: 'decode held to a JSON Schema against decode without, and the time of one mask over the vocabulary',
  async run(options) {
    const { path: modelPath, source } = await resolveModel({ model: options.model, home: defaultHome() });
    const model = openModel({
      modelPath,
      id: 'default',
      source,
      threads: options.threads,
      poll: 50,
      contextLength: 1024,
      maxBatchSize: 16,
      maxChunk,
    });
    const waker = new CoreWaker();
    try {
      const figures = [...(await measureDecodes(model, waker, options)), ...(await measureMasks(model, waker, options))];
      return {
        settings: { model: source, vocabulary: model.vocabulary.size, threads: options.threads, runs: options.runs },
        figures,
        notes: [
          `Decode: ${steps} steps after a prompt of ${promptLength} tokens; no answer ends. The text is not the same with the constraint and without, and so its tokens are not.`,
          `Mask: the mean over the states of one text of the schema, token by token. The larger vocabulary is the model's own and ${largeVocabulary} less that many pairs of its tokens. Decoding makes a mask only where the grammar refuses what was drawn.`,
        ],
      };
    } finally {
      await waker.close();
      model.close();
    }
  },
};

async function measureDecodes(model: LoadedModel, waker: CoreWaker, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  const endless = { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } };
  const core = new EngineCore(endless, { maxBatchSize: 16, stepTokenBudget: 256, maxChunk, continuous: true, maxQueue: 16 });
  for (const sequences of [1, 8]) {
    for (const [name, sampling] of samplings) {
      onProgress(`${sequences} × ${name}`);
      const measure = (held: boolean) => async () =>
        decode(
          core,
          Array.from({ length: sequences }, (_, index) => request(model, index, sampling, held)),
        );
      const [held = [], free = []] = await interleave([measure(true), measure(false)], { runs, warmups, settle: () => waker.wake() });
      figures.push(
        figure({
          name: `decode, ${sequences} × ${name}`,
          unit: 'tokens/s',
          samples: held,
          reference: { name: 'without a schema', samples: free },
        }),
      );
    }
  }
  return figures;
}

function request(model: LoadedModel, index: number, sampling: Sampling, isHeld: boolean): GenerateRequest {
  const tokens = makePrompt((text) => model.vocabulary.tokenize(text, false), promptLength, index * 7);
  return {
    id: `sequence ${index}`,
    prompt: { tokens },
    sampling,
    maxTokens: undefined,
    stop: [],
    topLogprobs: undefined,
    ...(isHeld && { grammar }),
  };
}

/** Tokens a second of all sequences together, after their prompts. */
function decode(core: EngineCore, requests: readonly GenerateRequest[]): number {
  for (const one of requests) core.add(one);
  try {
    for (let begun = 0; begun < requests.length;) begun += core.step().filter(({ part }) => part.type === 'prompt-end').length;
    const start = performance.now();
    let tokens = 0;
    for (let step = 0; step < steps; step += 1) tokens += core.step().filter(({ part }) => part.type === 'text-delta').length;
    if (tokens !== requests.length * steps)
      throw new Error(`the engine made ${tokens} tokens in ${steps} steps of ${requests.length} sequences`);
    return (tokens * 1000) / (performance.now() - start);
  } finally {
    for (const { id } of requests) core.abort(id);
  }
}

const sample =
  '[{"name": "小明和小红 Smith", "age": 42, "note": "他说：\\"明天下午三点洗车\\", then home.", "colours": ["红", "blue"]}, {"name": "a", "age": 7, "note": "", "colours": []}, ';

async function measureMasks({ vocabulary }: LoadedModel, waker: CoreWaker, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('masks');
  const text = vocabulary.tokenize(sample, false);
  const own = new ConstraintCompiler(vocabulary);
  const pairs = Array.from({ length: largeVocabulary - vocabulary.size }, (_, index) => {
    const [a, b] = [3 + (index % (vocabulary.size - 3)), 3 + ((index * 7919) % (vocabulary.size - 3))];
    return Buffer.concat([vocabulary.bytes(a), vocabulary.bytes(b)]);
  });
  const large = new ConstraintCompiler({
    size: largeVocabulary,
    bytes: (id) => (id < vocabulary.size ? vocabulary.bytes(id) : (pairs[id - vocabulary.size] as Uint8Array)),
    endsGeneration: (id) => id < vocabulary.size && vocabulary.endsGeneration(id),
  });
  const measures = [() => maskMs(own, vocabulary.size, text), () => maskMs(large, largeVocabulary, text), () => acceptMs(own, text)];
  const [ownMs = [], largeMs = [], acceptedMs = []] = await interleave(
    measures.map((measure) => async () => measure()),
    { runs, warmups, settle: () => waker.wake() },
  );
  return [
    figure({ name: `mask, ${vocabulary.size} tokens`, unit: 'ms', samples: ownMs }),
    figure({ name: `mask, ${largeVocabulary} tokens`, unit: 'ms', samples: largeMs }),
    figure({ name: '1,000 tokens tried and accepted', unit: 'ms', samples: acceptedMs }),
  ];
}

/** The mean time of a mask. */
function maskMs(compiler: ConstraintCompiler, size: number, text: readonly number[]): number {
  const [logits, masked] = [new Float32Array(size), new Float32Array(size)];
  const constraint = compiler.create(grammar);
  let spent = 0;
  for (const token of text) {
    const start = performance.now();
    constraint.mask(logits, masked);
    spent += performance.now() - start;
    constraint.accept(token);
  }
  return spent / text.length;
}

/** The time of a thousand tokens, each tried and then accepted. */
function acceptMs(compiler: ConstraintCompiler, text: readonly number[]): number {
  const constraint = compiler.create(grammar);
  const start = performance.now();
  for (const token of text) {
    if (!constraint.allows(token)) throw new Error('the text is not of the schema');
    constraint.accept(token);
  }
  return (1000 * (performance.now() - start)) / text.length;
}
