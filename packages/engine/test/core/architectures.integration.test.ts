import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openReference } from '../../src/reference/libllama.ts';
import { argmax } from '../../src/sampler/argmax.ts';
import { openTestModel } from '../support/default-model.ts';
import { cosine } from '../support/logits.ts';
import { writeTinyModel, type TinyModelOptions } from '../support/tiny-model.ts';

const contextLength = 512;

describe('an architecture on random weights gives the logits that libllama gives', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-architectures-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const models: readonly (readonly [string, Omit<TinyModelOptions, 'seed'>])[] = [
    // Q4_K and Q6_K come in blocks of 256.
    ['llama', { architecture: 'llama', type: 'f32' }],
    ['llama with biases, Q4_K', { architecture: 'llama', type: 'q4_k', hidden: 256, feedForward: 512, attentionBias: true }],
    ['qwen2', { architecture: 'qwen2', type: 'f32', tiedEmbeddings: true }],
    ['qwen2, Q6_K', { architecture: 'qwen2', type: 'q6_k', hidden: 256, feedForward: 512 }],
    ['qwen3', { architecture: 'qwen3', type: 'f32' }],
    ['qwen3 with tied embeddings, bf16', { architecture: 'qwen3', type: 'bf16', tiedEmbeddings: true }],
    // Heads longer than the embedding has room for, as in Qwen3-0.6B.
    ['qwen3 with wide heads, Q8_0', { architecture: 'qwen3', type: 'q8_0', headLength: 32, kvHeads: 1, layers: 3 }],
    ['glm4', { architecture: 'glm4', type: 'f32', headLength: 32, ropeDimensions: 16 }],
    [
      'glm4 with biases and tied embeddings, f16',
      { architecture: 'glm4', type: 'f16', tiedEmbeddings: true, headLength: 32, ropeDimensions: 16, attentionBias: true },
    ],
    ['glm4 without biases, Q8_0', { architecture: 'glm4', type: 'q8_0', ropeDimensions: 8, kvHeads: 1, layers: 3 }],
  ];

  for (const [name, options] of models) {
    it(name, async () => {
      const file = path.join(folder, `${name}.gguf`);
      await writeTinyModel(file, { seed: 23, vocabulary: 1000, ...options });
      const model = openTestModel(file, { contextLength, maxBatchSize: 3 });
      const reference = openReference({ modelPath: file, threads: 1, contextLength, maxSequences: 1 });
      const expectLike = (logits: Float32Array, expected: Float32Array) => {
        expect(cosine(logits, expected)).toBeGreaterThan(0.999);
        expect(argmax(logits)).toBe(argmax(expected));
      };
      try {
        for (const length of [1, 7, 300]) {
          reference.clear();
          const tokens = Int32Array.from({ length }, (_, index) => 3 + ((index * 7919) % 990));
          const [expected] = reference.evaluate(
            [...tokens].map((token, position) => ({ token, position, sequence: 0, wantsLogits: position === length - 1 })),
          );
          const whole = (model.runner.prefill(0, tokens, 0, true) as Float32Array).slice();
          expectLike(whole, expected as Float32Array);

          let chunked: Float32Array | undefined;
          for (let start = 0; start < length; start += 128) {
            const end = Math.min(start + 128, length);
            chunked = model.runner.prefill(2, tokens.subarray(start, end), start, end === length);
          }
          expectLike(chunked as Float32Array, whole);

          const next = argmax(whole);
          const [after] = model.runner.decode(Int32Array.of(next), Int32Array.of(length));
          const [expectedAfter] = reference.evaluate([{ token: next, position: length, sequence: 0, wantsLogits: true }]);
          expectLike(after as Float32Array, expectedAfter as Float32Array);
        }
      } finally {
        reference.close();
        model.close();
      }
    });
  }

  it('is refused with tensors that it has no use for', async () => {
    const file = path.join(folder, 'biased.gguf');
    await writeTinyModel(file, { seed: 1, vocabulary: 300, architecture: 'qwen3', attentionBias: true });
    expect(() => openTestModel(file)).toThrow(/does not know what its tensor blk\.0\.attn_q\.bias is for/);
  });
});
