import { greedySampling, type GenerateRequest } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';

const questions = [
  '中国的首都是哪里？',
  '请介绍一下长城。',
  '你好',
  '什么是人工智能？',
  '写一首关于春天的诗。',
  '1+1等于几？',
  'What is your name?',
  '推荐三本书。',
  '如何学习编程？',
  '请解释光合作用。',
  '水的沸点是多少？',
  '讲一个笑话。',
  '什么是量子力学？',
  '北京有哪些景点？',
  '怎样保持健康？',
  '请翻译：早上好。',
];

function chat(text: string): string {
  return `<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
}

function request(id: string, text: string, maxTokens: number): GenerateRequest {
  return {
    id,
    prompt: { segments: [{ kind: 'control', text: chat(text) }] },
    sampling: greedySampling,
    maxTokens,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
  };
}

describe('greedy answers', () => {
  let model: LoadedModel;
  const newCore = (stepTokenBudget = 256, maxChunk = 512) =>
    new EngineCore(model, { maxBatchSize: 16, stepTokenBudget, maxChunk, continuous: true, maxQueue: 64 });

  beforeAll(async () => {
    model = openTestModel(await defaultModelPath());
  });
  afterAll(() => model.close());

  /** Steps until idle; `beforeStep` may add and abort. Returns each request's text. */
  function run(core: EngineCore, beforeStep: (step: number) => void): Map<string, string> {
    const texts = new Map<string, string>();
    for (let step = 0; step === 0 || !core.idle || step < 40; step += 1) {
      beforeStep(step);
      for (const { id, part } of core.step()) {
        if (part.type === 'text-delta') texts.set(id, (texts.get(id) ?? '') + part.text);
      }
    }
    return texts;
  }

  function alone(text: string, maxTokens: number): string {
    const core = newCore();
    return run(core, (step) => step === 0 && core.add(request('alone', text, maxTokens))).get('alone') as string;
  }

  it('says that the capital of China is Beijing', () => {
    expect(alone('中国的首都是哪里？', 32)).toContain('北京');
  });

  it('are the same alone and among 15 others that join and leave at different steps', () => {
    const expected = questions.map((text) => alone(text, 40));
    const core = newCore();
    const texts = run(core, (step) => {
      if (step % 2 === 0 && step / 2 < questions.length) core.add(request(`q${step / 2}`, questions[step / 2] as string, 40));
      // Some leave early, so that the others change places in the batch.
      if (step === 21) core.abort('q1');
      if (step === 25) core.abort('q0');
    });
    for (const [index, text] of expected.entries()) {
      const got = texts.get(`q${index}`) ?? '';
      if (index === 0 || index === 1) expect(text.startsWith(got)).toBe(true);
      else expect(got).toBe(text);
    }
  });

  it('are the same with the prompt in one piece and in many, beside others that decode', () => {
    const long = '请总结下面的文字：' + '春天来了，花开了，鸟儿在树上歌唱，人们走出家门，享受温暖的阳光。'.repeat(12);
    const expected = alone(long, 30);
    const core = newCore(64);
    const texts = run(core, (step) => {
      if (step === 0) for (let index = 0; index < 3; index += 1) core.add(request(`other${index}`, questions[index + 3] as string, 60));
      if (step === 4) core.add(request('long', long, 30));
    });
    expect(texts.get('long')).toBe(expected);
  });

  it('are the same alone and in company in a context of more than 512 tokens', () => {
    const long = '请总结下面的文字：' + '秋天的田野一片金黄，农民们忙着收割庄稼，孩子们在田边玩耍。'.repeat(20);
    const expected = alone(long, 24);
    const core = newCore();
    const texts = run(core, (step) => {
      if (step === 0) core.add(request('long', long, 24));
      if (step === 3) for (let index = 0; index < 3; index += 1) core.add(request(`other${index}`, questions[index] as string, 16));
    });
    expect(texts.get('long')).toBe(expected);
  });
});
