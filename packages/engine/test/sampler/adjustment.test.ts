import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyLogitBias, parseLogitBias } from '../../src/sampler/logit-bias.ts';
import { applyPenalties } from '../../src/sampler/penalties.ts';
import { greedy, histogram, plain, samplerOf } from './support.ts';

describe('penalties', () => {
  test('change each logit by the published formulae', () => {
    const size = 8;
    const tokens = fc.array(fc.nat(size - 1), { maxLength: 20 });
    const amount = fc.double({ min: -2, max: 2, noNaN: true });
    const logits = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: size, maxLength: size });
    fc.assert(
      fc.property(
        logits,
        tokens,
        tokens,
        fc.double({ min: 0.5, max: 2, noNaN: true }),
        amount,
        amount,
        (values, prompt, answer, repetitionPenalty, presencePenalty, frequencyPenalty) => {
          const expected = values.map((logit, token) => {
            const count = answer.filter((other) => other === token).length;
            const seen = count > 0 || prompt.includes(token);
            const repeated = seen ? (logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty) : logit;
            return Math.fround(repeated - count * frequencyPenalty - (count > 0 ? 1 : 0) * presencePenalty);
          });
          const counts = new Map(prompt.map((token) => [token, 0]));
          for (const token of answer) counts.set(token, (counts.get(token) ?? 0) + 1);
          const actual = Float32Array.from(values);
          applyPenalties(actual, counts, { ...plain, repetitionPenalty, presencePenalty, frequencyPenalty });
          for (const [token, logit] of expected.entries()) expect(actual[token]).toBeCloseTo(logit, 4);
        },
      ),
    );
  });

  test('repetition counts the prompt, presence and frequency do not', () => {
    const logits = Float32Array.of(2, 1.9);
    expect(samplerOf({ ...greedy, repetitionPenalty: 1.2 }, 2, [0]).sample(logits)).toBe(1);
    expect(samplerOf({ ...greedy, presencePenalty: 1, frequencyPenalty: 1 }, 2, [0]).sample(logits)).toBe(0);
  });

  test('presence counts once, frequency each time', () => {
    const logits = Float32Array.of(2, 1);
    const presence = samplerOf({ ...greedy, presencePenalty: 0.6 }, 2);
    const frequency = samplerOf({ ...greedy, frequencyPenalty: 0.6 }, 2);
    const chosen = [presence, frequency].map((sampler) =>
      [0, 0, 0].map(() => {
        sampler.accept(0);
        return sampler.sample(logits);
      }),
    );
    expect(chosen).toEqual([
      [0, 0, 0],
      [0, 1, 1],
    ]);
  });
});

describe('logit bias', () => {
  test('adds to the tokens named, and to no others', () => {
    const logits = Float32Array.of(1, 2, 3);
    applyLogitBias(logits, parseLogitBias({ 0: 5, 2: -1.5, 3: 9 }));
    expect(Array.from(logits)).toEqual([6, 2, 1.5]);
  });

  test('+100 forces a token and −100 forbids it', () => {
    const logits = Float32Array.of(10, 0, -10, 5);
    expect(samplerOf({ logitBias: { 2: 100 } }, 4).sample(logits)).toBe(2);
    expect(samplerOf({ ...greedy, logitBias: { 2: 100 } }, 4).sample(logits)).toBe(2);
    expect(samplerOf({ ...greedy, logitBias: { 0: -100 } }, 4).sample(logits)).toBe(3);
    expect(histogram(samplerOf({ logitBias: { 0: -100 }, temperature: 2 }, 4), logits, 500)[0]).toBe(0);
  });

  test('comes before the penalties, as in vLLM', () => {
    // 1 + 3 = 4, halved to 2, against 2.5; penalties first would make it 3.5.
    const sampler = samplerOf({ ...greedy, repetitionPenalty: 2, logitBias: { 0: 3 } }, 2, [0]);
    expect(sampler.sample(Float32Array.of(1, 2.5))).toBe(1);
  });
});
