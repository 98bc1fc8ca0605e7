import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scoreToken } from '../../src/sampler/logprobs.ts';
import { anyLogits, brokenLogits, ranked, softmax } from './support.ts';

test('scores are the logarithms of the softmax', () => {
  fc.assert(
    fc.property(anyLogits, fc.nat(), fc.nat(20), (logits, place, topCount) => {
      const chosen = place % logits.length;
      const scores = scoreToken(logits, chosen, topCount);
      const probabilities = softmax(logits, 1);
      expect(scores.logprob).toBeCloseTo(Math.log(probabilities[chosen] as number), 6);
      expect(scores.top.map(({ id }) => id)).toEqual(ranked(logits).slice(0, topCount));
      for (const { id, logprob } of scores.top) expect(logprob).toBeCloseTo(Math.log(probabilities[id] as number), 6);
    }),
  );
});

test('great logits neither overflow nor vanish', () => {
  const { logprob, top } = scoreToken(Float32Array.of(1e30, 1e30, -1e30), 1, 3);
  expect(logprob).toBeCloseTo(-Math.LN2);
  expect(top.map(({ id }) => id)).toEqual([0, 1, 2]);
});

test('impossible tokens score −∞ and are not listed', () => {
  fc.assert(
    fc.property(brokenLogits, fc.nat(), (logits, place) => {
      const chosen = place % logits.length;
      const { logprob, top } = scoreToken(logits, chosen, 20);
      expect(Number.isFinite(logprob)).toBe(Number.isFinite(logits[chosen]));
      expect(logprob).toBeLessThanOrEqual(1e-6);
      expect(top).toHaveLength(Math.min(20, logits.filter(Number.isFinite).length));
      expect(top.every((token) => Number.isFinite(token.logprob))).toBe(true);
    }),
  );
});
