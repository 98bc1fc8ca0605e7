import { expect, it } from 'vitest';
import { measureQuality } from '../../src/quantize/quality.ts';
import { measuringTexts } from '../../src/quantize/measuring-text.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';

it('reports the perplexity that this engine finds after the token that begins a text, and no divergence from itself', async () => {
  const file = await defaultModelPath();
  const measured = await measureQuality(file, file, measuringTexts, { threads: 1 });
  const model = openTestModel(file);
  try {
    for (const [index, { text }] of measuringTexts.entries()) {
      const tokens = Int32Array.of(model.vocabulary.bos as number, ...model.vocabulary.tokenize(text, false)).subarray(0, 256);
      let loss = 0;
      for (let length = 1; length < tokens.length; length += 1) {
        const logits =
          length === 1
            ? (model.runner.prefill(0, tokens.subarray(0, 1), 0, true) as Float32Array)
            : (model.runner.decode(tokens.subarray(length - 1, length), Int32Array.of(length - 1))[0] as Float32Array);
        loss += Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0)) - (logits[tokens[length] as number] as number);
      }
      const found = measured[index];
      expect(found).toMatchObject({ tokens: tokens.length - 1, divergence: { mean: 0, p99: 0 }, sameTop: 1 });
      // Both engines round activations, each in its way.
      expect(Math.log(found?.perplexity.source as number)).toBeCloseTo(loss / (tokens.length - 1), 1);
      expect(found?.perplexity.quantized).toBe(found?.perplexity.source);
    }
  } finally {
    model.close();
  }
});
