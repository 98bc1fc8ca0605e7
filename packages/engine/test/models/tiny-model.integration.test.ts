import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openReference } from '../../src/reference/libllama.ts';
import { argmax } from '../../src/sampler/argmax.ts';
import { openTestModel } from '../support/default-model.ts';
import { writeTinyModel, type TinyModelOptions } from '../support/tiny-model.ts';

describe('a model of random weights', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-tiny-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const shapes: readonly (readonly [string, Omit<TinyModelOptions, 'seed'>])[] = [
    // Row counts that kernels which rearrange weights cannot take: 1000, 48 and 16 are no multiples of 32.
    ['a vocabulary of 1000', { architecture: 'llama', type: 'q8_0', vocabulary: 1000 }],
    ['a vocabulary of 259', { architecture: 'qwen2', type: 'f16', vocabulary: 259, tiedEmbeddings: true }],
    [
      'one narrow key head',
      { architecture: 'llama', type: 'q8_0', vocabulary: 320, hidden: 96, heads: 6, kvHeads: 1, feedForward: 160, layers: 3 },
    ],
    [
      'one narrow key head, Q4_0',
      { architecture: 'qwen2', type: 'q4_0', vocabulary: 1000, hidden: 96, heads: 2, kvHeads: 1, feedForward: 160 },
    ],
  ];
  it.each(shapes)('with %s gives the logits that libllama gives, none drowned', async (name, options) => {
    const file = path.join(folder, `${name}.gguf`);
    await writeTinyModel(file, { seed: 11, ...options });
    const model = openTestModel(file, { contextLength: 256 });
    const reference = openReference({ modelPath: file, threads: 1, contextLength: 256, maxSequences: 1 });
    try {
      expect(model.info.vocabularySize).toBe(options.vocabulary);
      const tokens = Int32Array.from({ length: 40 }, (_, index) => 3 + ((index * 97) % 250));
      const logits = model.runner.prefill(0, tokens, 0, true) as Float32Array;
      const [expected] = reference.evaluate(
        [...tokens].map((token, position) => ({ token, position, sequence: 0, wantsLogits: position === tokens.length - 1 })),
      ) as [Float32Array];
      expect(cosine(logits, expected)).toBeGreaterThan(0.999);
      expect(argmax(logits)).toBe(argmax(expected));
      expect(spread(expected)).toBeGreaterThan(0.3);
      expect(spread(expected)).toBeLessThan(5);
    } finally {
      reference.close();
      model.close();
    }
  });
});

/** Cosine of two rows of logits. */
function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, index) => sum + value * (y[index] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Standard deviation of logits whose mean is near zero. */
function spread(logits: Float32Array): number {
  return Math.sqrt(logits.reduce((sum, value) => sum + value * value, 0) / logits.length);
}
