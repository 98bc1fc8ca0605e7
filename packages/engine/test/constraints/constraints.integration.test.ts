import { Ajv2020 } from 'ajv/dist/2020.js';
import { greedySampling, type GeneratePart, type GenerateRequest, type Sampling } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';

const sampled: Sampling = { ...greedySampling, temperature: 1 };
const schema = {
  type: 'object',
  properties: {
    城市: { type: 'string', maxLength: 12 },
    人口: { type: 'integer', minimum: 0 },
    景点: { type: 'array', items: { type: 'string', maxLength: 10 }, minItems: 1, maxItems: 3 },
    季节: { enum: ['春', '夏', '秋', '冬'] },
  },
  required: ['城市', '人口', '景点', '季节'],
  additionalProperties: false,
};
const validate = new Ajv2020({ strict: false }).compile(schema);

describe('answers held to a grammar', () => {
  let model: LoadedModel;
  beforeAll(async () => {
    model = openTestModel(await defaultModelPath());
  });
  afterAll(() => model.close());
  const newCore = () => new EngineCore(model, { maxBatchSize: 8, stepTokenBudget: 256, maxChunk: 512, continuous: true, maxQueue: 64 });

  function request(id: string, changes: Partial<GenerateRequest> = {}): GenerateRequest {
    const text = '<|im_start|>user\n用 JSON 介绍北京。<|im_end|>\n<|im_start|>assistant\n';
    return {
      id,
      prompt: { segments: [{ kind: 'control', text }] },
      sampling: { ...sampled, temperature: 0 },
      maxTokens: 200,
      stop: [],
      topLogprobs: undefined,
      grammar: { kind: 'json', schema, param: 'schema' },
      ...changes,
    };
  }

  function run(
    requests: readonly GenerateRequest[],
    core = newCore(),
  ): Map<string, { text: string; finishReason: string; parts: GeneratePart[] }> {
    const answers = new Map(requests.map(({ id }) => [id, { text: '', finishReason: '', parts: [] as GeneratePart[] }]));
    for (const one of requests) core.add(one);
    while (!core.idle) {
      for (const { id, part } of core.step()) {
        const answer = answers.get(id) as { text: string; finishReason: string; parts: GeneratePart[] };
        answer.parts.push(part);
        if (part.type === 'text-delta') answer.text += part.text;
        if (part.type === 'text-end') answer.finishReason = part.finishReason;
      }
    }
    return answers;
  }

  it('satisfy their schema, greedy or sampled, in a batch with free ones, which do not change', () => {
    const cuts: Partial<Sampling>[] = [
      { temperature: 0 },
      {},
      { topK: 20 },
      { topP: 0.9 },
      { minP: 0.05, temperature: 1.5 },
      { frequencyPenalty: 1, repetitionPenalty: 1.2 },
    ];
    const held = cuts.map((changes, index) => request(`h${index}`, { sampling: { ...sampled, seed: index, ...changes } }));
    const free = request('free', { grammar: undefined, maxTokens: 60 });
    const answers = run([free, ...held]);
    for (const { id } of held) {
      const { text, finishReason } = answers.get(id) as { text: string; finishReason: string };
      expect([finishReason, text, validate(JSON.parse(text))]).toEqual(['stop', text, true]);
    }
    expect(answers.get('free')?.text).toBe(run([free]).get('free')?.text);
    expect(answers.get('h0')?.text).toBe(run([held[0] as GenerateRequest]).get('h0')?.text);
  });

  it('are cut by a limit, a stop string and the context, as others are', () => {
    const answers = run([request('limit', { maxTokens: 6 }), request('stop', { stop: ['人口'] })]);
    expect(answers.get('limit')?.finishReason).toBe('length');
    expect(answers.get('stop')).toMatchObject({ finishReason: 'stop', text: expect.not.stringContaining('人口') });
  });

  it("tell the model's own logprobs, also of tokens that were ruled out", () => {
    const { parts } = run([request('a', { topLogprobs: 3, maxTokens: 1 })]).get('a') as { parts: GeneratePart[] };
    const [first] = parts.flatMap((part) => (part.type === 'text-delta' ? (part.logprobs ?? []) : []));
    expect(first?.token.startsWith('{')).toBe(true);
    expect(first?.top[0]?.logprob).toBeGreaterThan(first?.logprob as number);
  });

  it('are refused before they begin when the schema cannot be used', () => {
    expect(() =>
      newCore().add(
        request('a', { grammar: { kind: 'json', schema: { type: 'object', if: {} }, param: 'response_format.json_schema.schema' } }),
      ),
    ).toThrow(expect.objectContaining({ code: 'invalid_value', param: 'response_format.json_schema.schema.if' }));
  });
});
