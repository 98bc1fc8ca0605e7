import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { openTestModel } from '../support/default-model.ts';
import { runAll, somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const maxBatchSize = 6;
const limits = { maxBatchSize, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 64 };

describe('the paged KV cache under the core', () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-paged-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** `blocks`: how many blocks of 64 tokens the memory holds. */
  const open = (strategy: 'paged' | 'static', blocks = 200, type: 'f16' | 'q8_0' = 'f16') => {
    // Two layers, two heads of 32 elements for keys and for values; a row of q8_0 begins at a multiple of 64 bytes.
    const rowBytes = type === 'f16' ? 256 : 192;
    return openTestModel(file, { contextLength: 1024, maxBatchSize, kvCache: { strategy, type, maxBytes: blocks * 64 * rowBytes * 2 } });
  };
  const answers = (model: LoadedModel, requests: readonly (readonly [number, ReturnType<typeof tokenRequest>])[], otherLimits = limits) => {
    const core = new EngineCore(endless(model), otherLimits);
    const got = runAll(core, (step) => {
      for (const [at, request] of requests) if (at === step) core.add(request);
    });
    return { core, got };
  };
  /** Random weights would end an answer at any time. */
  const endless = (model: LoadedModel): LoadedModel => ({ ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } });

  const shared = somePrompt(400, 1);
  const requests = [
    [0, tokenRequest('first', [...shared, ...somePrompt(30, 2)], 90)],
    [2, tokenRequest('beside', somePrompt(77, 3), 150)],
    [9, tokenRequest('second', [...shared, ...somePrompt(45, 4)], 90)],
    [20, tokenRequest('whole', shared.slice(0, 384), 40)],
    [22, tokenRequest('again', [...shared, ...somePrompt(30, 2)], 90)],
    [30, tokenRequest('short', somePrompt(10, 6), 70)],
    [31, tokenRequest('long', [...shared, ...somePrompt(333, 7)], 70)],
  ] as const;

  it('computes what prompts begin with once, when they come together beside a running stream', () => {
    const together = [
      [0, tokenRequest('stream', somePrompt(20, 9), 200)],
      ...[0, 1, 2, 3].map((index) => [2, tokenRequest(`r${index}`, [...shared, ...somePrompt(20 + 30 * index, 20 + index)], 20)] as const),
      [2, tokenRequest('whole', shared.slice(0, 384), 20)],
    ] as const;
    const models = [open('static'), open('paged')] as const;
    try {
      const [expected, got] = models.map((model) => answers(model, together).got) as [ReturnType<typeof runAll>, ReturnType<typeof runAll>];
      for (const [, { id }] of together) expect([id, got.get(id)?.text]).toEqual([id, expected.get(id)?.text]);
      expect(['r0', 'r1', 'r2', 'r3', 'whole'].map((id) => got.get(id)?.cachedTokens)).toEqual([0, 384, 384, 384, 384]);
      expect(models[1].cache.usage.hitTokens).toBe(4 * 384);
    } finally {
      for (const model of models) model.close();
    }
  });

  for (const type of ['f16', 'q8_0'] as const) {
    it(`gives the answers of the static one, bit by bit, with prefixes shared and places changed, in ${type}`, () => {
      const models = [open('static', 200, type), open('paged', 200, type)] as const;
      try {
        const [expected, got] = models.map((model) => answers(model, requests).got) as [
          ReturnType<typeof runAll>,
          ReturnType<typeof runAll>,
        ];
        for (const [, { id }] of requests) expect([id, got.get(id)?.text]).toEqual([id, expected.get(id)?.text]);
        expect(['first', 'second', 'whole', 'again', 'long'].map((id) => got.get(id)?.cachedTokens)).toEqual([0, 384, 384, 384, 384]);
      } finally {
        for (const model of models) model.close();
      }
    });
  }
});
