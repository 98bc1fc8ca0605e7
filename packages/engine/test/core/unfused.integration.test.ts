import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadedModel } from '../../src/core.ts';
import { openTestModel } from '../support/default-model.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

// A layer's objects in a graph are bounded: enough layers for one object too many in each to show. Rows by 512 are those that AMX gets more
// of.
const sizes = { type: 'q8_0', layers: 8, hidden: 512, heads: 8, kvHeads: 8, feedForward: 512, vocabulary: 320 } as const;
const count = 100;

describe('matrices apart, as of files whose q, k and v are of unlike types', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-unfused-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each(['qwen2', 'qwen3', 'glm4'])('give the bits of one product for all, logits and attention (%s)', async (architecture) => {
    const file = path.join(folder, `${architecture}.gguf`);
    await writeTinyModel(file, { architecture, seed: 11, ...sizes });
    const tokens = Int32Array.from({ length: count }, (_, index) => 3 + ((index * 7919) % 300));
    const read = (model: LoadedModel) => {
      const logits = (model.runner.prefill(0, tokens, 0, true) as Float32Array).slice();
      const { blocks } = model.runner.weighBlocks(0, tokens.subarray(count - 64), count - 64);
      return { logits, blocks };
    };
    const opened = [true, false].map((fusesMatrices) =>
      openTestModel(file, { contextLength: 512, maxBatchSize: 1, tuning: { fusesMatrices, keepsGraphs: true, measuresProducts: true } }),
    );
    try {
      const [fused, apart] = opened.map(read);
      expect(apart).toEqual(fused);
    } finally {
      for (const model of opened) model.close();
    }
  });
});
