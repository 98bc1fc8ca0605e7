import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { openTestModel } from '../support/default-model.ts';
import { somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const maxBatchSize = 12;
const steps = 24;

/** The answers' tokens with the logprobs of all alternatives, which tell the least difference of a sum. */
function answers(model: LoadedModel, ids: readonly number[], isEager = false): ReadonlyMap<string, readonly unknown[]> {
  const endless = { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } };
  const core = new EngineCore(endless, {
    maxBatchSize,
    stepTokenBudget: 128,
    maxChunk: 512,
    continuous: true,
    maxQueue: 64,
    ...(isEager && { stepCosts: { costOf: () => 1, observe: () => undefined } }),
  });
  for (const id of ids) core.add(tokenRequest(`${id}`, somePrompt(20 + id, id), steps, { topLogprobs: 3 }));
  const scores = new Map<string, unknown[]>();
  while (!core.idle) {
    for (const { id, part } of core.step())
      if (part.type === 'text-delta' && part.logprobs) scores.set(id, [...(scores.get(id) ?? []), ...part.logprobs]);
  }
  return scores;
}

describe('sums', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(path.join(tmpdir(), 'autoglm-types-'))));
  afterAll(() => rm(folder, { recursive: true }));

  for (const type of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const) {
    it(`are the same bits alone, in a batch of any size and in a draft, with weights in ${type}`, async () => {
      const file = path.join(folder, `${type}.gguf`);
      await writeTinyModel(file, {
        architecture: 'llama',
        seed: 9,
        type,
        vocabulary: 320,
        hidden: 256,
        heads: 4,
        kvHeads: 2,
        feedForward: 512,
      });
      const model = openTestModel(file, { contextLength: 256, maxBatchSize });
      try {
        const expected = answers(model, [0]).get('0');
        for (const count of [2, 3, 4, 7, 8, 11, 12])
          expect([
            count,
            answers(
              model,
              Array.from({ length: count }, (_, id) => id),
            ).get('0'),
          ]).toEqual([count, expected]);
        expect(answers(model, [0], true).get('0')).toEqual(expected);
      } finally {
        model.close();
      }
    });
  }
});
