import { describe, expect, it } from 'vitest';
import { chunkLength } from '../../src/scheduler/plan.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';
import { cosine } from '../support/logits.ts';

const length = 333;

/** Logits after a prompt that is read in pieces of `limit` tokens, and after one token more. */
async function logitsWith(type: 'f16' | 'q8_0', limit: number): Promise<readonly Float32Array[]> {
  const model = openTestModel(await defaultModelPath(), { contextLength: 512, maxBatchSize: 1, kvCache: { strategy: 'static', type } });
  try {
    const tokens = Int32Array.from({ length }, (_, index) => 3 + ((index * 7919) % 6000));
    let logits: Float32Array | undefined;
    for (let start = 0; start < length;) {
      const end = start + chunkLength(length - start, limit);
      logits = model.runner.prefill(0, tokens.subarray(start, end), start, end === length);
      start = end;
    }
    const prompt = (logits as Float32Array).slice();
    const [next] = model.runner.decode(Int32Array.of(100), Int32Array.of(length));
    return [prompt, (next as Float32Array).slice()];
  } finally {
    model.close();
  }
}

describe('keys and values in q8_0', () => {
  it('give nearly the logits of f16, and the same in one piece and in many', async () => {
    const exact = await logitsWith('f16', 512);
    const whole = await logitsWith('q8_0', 512);
    for (const [index, logits] of whole.entries()) {
      expect(cosine(logits, exact[index] as Float32Array)).toBeGreaterThan(0.999);
      expect(logits).not.toEqual(exact[index]);
    }
    expect(await logitsWith('q8_0', 64)).toEqual(whole);
  });
});
