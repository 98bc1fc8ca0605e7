import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openReference } from '../../src/reference/libllama.ts';
import { argmax } from '../../src/sampler/argmax.ts';
import { chunkLength } from '../../src/scheduler/plan.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';
import { cosine } from '../support/logits.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const contextLength = 1024;

describe('logits against libllama', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-logits-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const tiny = (name: string, options: Omit<Parameters<typeof writeTinyModel>[1], 'seed'>) => async () => {
    const file = path.join(folder, `${name}.gguf`);
    await writeTinyModel(file, { seed: 7, ...options });
    return file;
  };
  const models: readonly (readonly [string, () => Promise<string>])[] = [
    ['the default model', defaultModelPath],
    ['llama, f32', tiny('llama-f32', { architecture: 'llama', type: 'f32' })],
    ['llama, Q4_0', tiny('llama-q4', { architecture: 'llama', type: 'q4_0' })],
    ['qwen2, Q8_0', tiny('qwen2-q8', { architecture: 'qwen2', type: 'q8_0' })],
    // Rows of which AMX gets more than there are; with biases.
    [
      'qwen2, Q8_0, rows by 512',
      tiny('qwen2-q8-wide', { architecture: 'qwen2', type: 'q8_0', hidden: 512, heads: 8, kvHeads: 4, feedForward: 512 }),
    ],
    ['qwen2, f16, tied embeddings', tiny('qwen2-f16', { architecture: 'qwen2', type: 'f16', tiedEmbeddings: true })],
  ];

  for (const [name, makeFile] of models) {
    for (const length of [1, 5, 64, 100, 333, 700]) {
      it(`are those of ${name} after ${length} tokens, whole and in chunks, and of the token after`, async () => {
        const file = await makeFile();
        const model = openTestModel(file, { contextLength });
        const reference = openReference({ modelPath: file, threads: 1, contextLength, maxSequences: 1, batchSize: 1024 });
        try {
          const tokens = Int32Array.from({ length }, (_, index) => 3 + ((index * 7919) % 6000));
          const expected = reference
            .evaluate([...tokens].map((token, position) => ({ token, position, sequence: 0, wantsLogits: position === length - 1 })))[0]
            ?.slice() as Float32Array;

          const whole = (model.runner.prefill(0, tokens, 0, true) as Float32Array).slice();
          expect(cosine(whole, expected)).toBeGreaterThan(0.999);
          expect(argmax(whole)).toBe(argmax(expected));

          // In another slot, in chunks: the very same numbers.
          let chunked: Float32Array | undefined;
          for (let start = 0; start < length;) {
            const count = chunkLength(length - start, 64);
            chunked = model.runner.prefill(2, tokens.subarray(start, start + count), start, start + count === length);
            start += count;
          }
          expect(chunked).toEqual(whole);

          const next = argmax(whole);
          const after = model.runner.decode(Int32Array.of(next), Int32Array.of(length))[0] as Float32Array;
          const expectedAfter = reference.evaluate([{ token: next, position: length, sequence: 0, wantsLogits: true }])[0] as Float32Array;
          expect(cosine(after, expectedAfter)).toBeGreaterThan(0.999);
          expect(argmax(after)).toBe(argmax(expectedAfter));
        } finally {
          reference.close();
          model.close();
        }
      });
    }
  }
});
