import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { AttentionMap, GenerateRequest } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import type { KvCacheOptions } from '../../src/kv-cache/open-kv-cache.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';
import { somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const limits = { maxBatchSize: 4, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 10 };

describe('the attention map', () => {
  let folder: string;
  const opened: LoadedModel[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-attention-'));
    const sizes = { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32 } as const;
    await writeTinyModel(path.join(folder, 'even.gguf'), { ...sizes, attendsEvenly: true });
    await writeTinyModel(path.join(folder, 'some.gguf'), sizes);
  });
  afterAll(async () => {
    for (const model of opened) model.close();
    await rm(folder, { recursive: true });
  });
  const open = (name: string, kvCache: KvCacheOptions = { strategy: 'paged', type: 'f16' }) => {
    const model = openTestModel(path.join(folder, name), { contextLength: 1024, maxBatchSize: 4, kvCache });
    opened.push(model);
    return { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } };
  };
  const mapsOf = (model: LoadedModel, requests: readonly GenerateRequest[]) => {
    const core = new EngineCore(model, limits);
    for (const request of requests) core.add(request);
    const maps = new Map<string, AttentionMap | undefined>();
    while (!core.idle) for (const { id, part } of core.step()) if (part.type === 'text-end') maps.set(id, part.attention);
    return maps;
  };
  const asking = (id: string, prompt: readonly number[], maxTokens: number, changes: Partial<GenerateRequest> = {}) =>
    tokenRequest(id, prompt, maxTokens, { attention: true, ...changes });
  const sum = ({ blocks, answerWeight }: AttentionMap) => blocks.reduce((total, { weight }) => total + weight, answerWeight);

  it('is what even attention must give', () => {
    const map = mapsOf(open('even.gguf'), [asking('a', somePrompt(150, 1), 90)]).get('a') as AttentionMap;
    // The tokens of the answer were chosen at places 149 … 238, each of which sees all up to itself.
    const seen = Array.from({ length: 90 }, (_, index) => 150 + index);
    const mean = (share: (count: number) => number) => seen.reduce((total, count) => total + share(count), 0) / seen.length;
    expect(map).toMatchObject({ observedTokens: 90, droppedTokens: 0 });
    expect(map.blocks.map(({ start, end }) => [start, end])).toEqual([
      [0, 64],
      [64, 128],
      [128, 150],
    ]);
    for (const { start, end, weight } of map.blocks)
      expect(weight).toBeCloseTo(
        mean((count) => (end - start) / count),
        5,
      );
    expect(map.answerWeight).toBeCloseTo(
      mean((count) => (count - 150) / count),
      5,
    );
  });

  it('is the same alone and in company, in both strategies, and about the same in q8_0', () => {
    const requests = [asking('a', somePrompt(300, 1), 400), asking('b', somePrompt(20, 2), 1), tokenRequest('c', somePrompt(200, 3), 50)];
    const alone = mapsOf(open('some.gguf'), [requests[0] as GenerateRequest]).get('a') as AttentionMap;
    for (const strategy of ['static', 'paged'] as const) {
      const maps = mapsOf(open('some.gguf', { strategy, type: 'f16' }), requests);
      expect(maps.get('a')).toEqual(alone);
      expect(sum(maps.get('b') as AttentionMap)).toBeCloseTo(1, 5);
      expect(maps.get('c')).toBeUndefined();
      const quantized = mapsOf(open('some.gguf', { strategy, type: 'q8_0' }), [{ ...(requests[0] as GenerateRequest), maxTokens: 1 }]).get(
        'a',
      ) as AttentionMap;
      const exact = mapsOf(open('some.gguf', { strategy, type: 'f16' }), [{ ...(requests[0] as GenerateRequest), maxTokens: 1 }]).get(
        'a',
      ) as AttentionMap;
      for (const [index, { weight }] of quantized.blocks.entries()) expect(weight).toBeCloseTo(exact.blocks[index]?.weight as number, 2);
    }
    // At most 256 tokens of a long answer are read again.
    expect(alone.observedTokens).toBe(256);
  });

  it('tells by the prompt’s own tokens what was left of it', () => {
    for (const kind of ['window', 'attention'] as const) {
      const map = mapsOf(open('some.gguf'), [
        asking('a', somePrompt(700, 1), 30, { contextStrategy: { kind, sinks: 64, window: 448 } }),
      ]).get('a') as AttentionMap;
      expect(sum(map)).toBeCloseTo(1, 5);
      expect(map.droppedTokens).toBe(256);
      expect(map.blocks).toHaveLength(11 - 4);
      expect(map.blocks[0]).toMatchObject({ start: 0, end: 64 });
      expect(map.blocks.at(-1)).toMatchObject({ start: 640, end: 700 });
      expect(map.blocks.every(({ start }, index) => index === 0 || start > (map.blocks[index - 1]?.start as number))).toBe(true);
      if (kind === 'window') expect(map.blocks.map(({ start }) => start)).toEqual([0, 320, 384, 448, 512, 576, 640]);
    }
  });

  it('goes to the passage that the model copies, more than when it says something else', async () => {
    const model = openTestModel(await defaultModelPath(), { contextLength: 1024, maxBatchSize: 1 });
    opened.push(model);
    const tokens = (text: string) => model.vocabulary.tokenize(text, false);
    const block = (text: string) => Array.from({ length: 64 }, (_, index) => tokens(text)[index % tokens(text).length] as number);
    const passage = block('王老师的电话号码是七三九五二八，他住在梧桐路十六号，养了一只叫小黑的猫，喜欢在周末去湖边钓鱼。');
    const others = [
      '今天的天气很好，我们去公园散步吧。',
      '苹果和香蕉都是常见的水果。',
      '电脑需要定期清理灰尘。',
      '学习语言要每天练习。',
      '城市里的交通很拥挤。',
    ].map(block);
    const prompt = [
      ...block('下面是一些句子。'),
      ...(others[0] as number[]),
      ...(others[1] as number[]),
      ...passage,
      ...(others[2] as number[]),
      ...(others[3] as number[]),
      ...(others[4] as number[]),
    ];
    const endless = { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } };
    const weightsAfter = (end: readonly number[]) =>
      mapsOf(endless, [asking('a', [...prompt, ...end.slice(0, 12)], 20)])
        .get('a')
        ?.blocks.map(({ weight }) => weight) as number[];
    const [copying, other] = [weightsAfter(passage), weightsAfter(others[1] as number[])];
    // So small a model mostly attends to what is near, whatever it says.
    expect(copying[3]).toBeGreaterThan(1.1 * (other[3] as number));
  });
});
