import type { Sampling } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSampler, createSamplerScratch } from '../../src/sampler/sampler.ts';
import {
  anyLogits,
  brokenLogits,
  chiSquareDeviation,
  greedy,
  histogram,
  normalLogits,
  plain,
  ranked,
  samplerOf,
  softmax,
} from './support.ts';

const anySampling: fc.Arbitrary<Sampling> = fc.record({
  temperature: fc.oneof(fc.constantFrom(0, Number.MIN_VALUE, 1e-6, 1, 1e300), fc.double({ min: 0.01, max: 2, noNaN: true })),
  topK: fc.constantFrom(0, 1, 2, 40, 1000),
  topP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  repetitionPenalty: fc.constantFrom(1, 1.1, 2),
  presencePenalty: fc.constantFrom(0, 0.5, -2),
  frequencyPenalty: fc.constantFrom(0, 0.5, -2),
  logitBias: fc.dictionary(fc.nat(50).map(String), fc.double({ min: -100, max: 100, noNaN: true }), { maxKeys: 3 }),
  seed: fc.maxSafeInteger(),
});

describe('greedy', () => {
  test('takes the likeliest, of equals the lowest id', () => {
    fc.assert(
      fc.property(anyLogits, (logits) => {
        expect(samplerOf(greedy, logits.length).sample(logits)).toBe(ranked(logits)[0]);
      }),
    );
  });
});

describe('what is drawn follows the distribution', () => {
  const logits = Float32Array.of(1.2, -0.5, 3, 0.1, 2.2, -2, 2.9, 0, -1.1, 1.5, 2.2, 0.7);
  const draws = 20_000;

  function expected(temperature: number, keeps: (token: number, probabilities: readonly number[]) => boolean): number[] {
    const probabilities = softmax(logits, temperature);
    const masked = probabilities.map((probability, token) => (keeps(token, probabilities) ? probability : 0));
    const total = masked.reduce((sum, probability) => sum + probability, 0);
    return masked.map((probability) => probability / total);
  }
  const rank = (token: number) => ranked(logits).indexOf(token);
  const massBefore = (token: number, probabilities: readonly number[]) =>
    ranked(logits)
      .slice(0, rank(token))
      .reduce((sum, other) => sum + (probabilities[other] as number), 0);

  const cases: readonly [string, Partial<Sampling>, number[]][] = [
    ['plain', {}, expected(1, () => true)],
    ['cool', { temperature: 0.5 }, expected(0.5, () => true)],
    ['hot', { temperature: 1.7 }, expected(1.7, () => true)],
    ['top-k', { topK: 4 }, expected(1, (token) => rank(token) < 4)],
    ['top-p', { topP: 0.7 }, expected(1, (token, probabilities) => massBefore(token, probabilities) < 0.7)],
    [
      'top-p after temperature',
      { topP: 0.7, temperature: 2 },
      expected(2, (token, probabilities) => massBefore(token, probabilities) < 0.7),
    ],
    ['min-p', { minP: 0.2 }, expected(1, (token, probabilities) => (probabilities[token] as number) >= 0.2 * Math.max(...probabilities))],
  ];

  test.each(cases)('%s', (_, sampling, probabilities) => {
    const sampler = samplerOf({ ...sampling, seed: 20 }, logits.length);
    expect(chiSquareDeviation(histogram(sampler, logits, draws), probabilities)).toBeLessThan(4);
  });

  test('top-p takes its mass from what min-p and top-k left', () => {
    // Of the two kept, 0.73 and 0.27, the first holds 0.7 alone; of all four it would not.
    const four = Float32Array.of(2, 1, 0.9, 0.8);
    expect(histogram(samplerOf({ topK: 2, topP: 0.7 }, 4), four, 200)).toEqual([200, 0, 0, 0]);
    expect(histogram(samplerOf({ minP: 0.35, topP: 0.7 }, 4), four, 200)).toEqual([200, 0, 0, 0]);
  });

  test('the test itself tells distributions apart', () => {
    const sampler = samplerOf({ temperature: 1.1, seed: 20 }, logits.length);
    expect(
      chiSquareDeviation(
        histogram(sampler, logits, draws),
        expected(1, () => true),
      ),
    ).toBeGreaterThan(10);
  });
});

describe('seeds', () => {
  const rows = Array.from({ length: 30 }, (_, row) => normalLogits(500, 2, row));
  const tokensOf = (sampling: Partial<Sampling>) => {
    const sampler = samplerOf(sampling, 500);
    return rows.map((row) => {
      const token = sampler.sample(row);
      sampler.accept(token);
      return token;
    });
  };

  test('the same seed gives the same tokens, another seed others', () => {
    expect(tokensOf({ seed: -42 })).toEqual(tokensOf({ seed: -42 }));
    expect(tokensOf({ seed: -42 })).not.toEqual(tokensOf({ seed: 42 }));
  });

  test('samplers that share scratch memory do not disturb each other, however they take turns', () => {
    fc.assert(
      fc.property(
        fc.array(anySampling, { minLength: 2, maxLength: 4 }),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }),
        (samplings, turns) => {
          const alone = samplings.map((sampling) => createSampler(sampling, [1, 2, 3], createSamplerScratch(500)));
          const shared = createSamplerScratch(500);
          const together = samplings.map((sampling) => createSampler(sampling, [1, 2, 3], shared));
          for (const [place, turn] of turns.entries()) {
            const row = rows[place % rows.length] as Float32Array;
            const [one, other] = [alone, together].map((samplers) => {
              const sampler = samplers[turn % samplings.length];
              const token = sampler?.sample(row) ?? -1;
              sampler?.accept(token);
              return token;
            });
            expect(one).toBe(other);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('any settings and logits', () => {
  test('a token of the vocabulary is chosen, possible where one is, and the logits stay as they were', () => {
    fc.assert(
      fc.property(brokenLogits, anySampling, (logits, sampling) => {
        const before = logits.slice();
        const token = createSampler(sampling, [0], createSamplerScratch(logits.length)).sample(logits);
        expect(logits).toEqual(before);
        if (logits.some((logit) => logit > -Infinity)) expect(logits[token]).toBeGreaterThan(-Infinity);
        else expect(token).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  test('an overflow to +∞ is certain', () => {
    expect(samplerOf({}, 3).sample(Float32Array.of(1, Infinity, 2))).toBe(1);
  });

  test('a temperature near 0 is as good as greedy', () => {
    fc.assert(
      fc.property(anyLogits, (logits) => {
        const token = samplerOf({ temperature: 1e-9 }, logits.length).sample(logits);
        expect(logits[token]).toBeCloseTo(Math.max(...logits), 6);
      }),
    );
  });
});

test('a whole vocabulary of 152,064 tokens works in every setting', () => {
  const size = 152_064;
  const logits = normalLogits(size, 3, 2);
  const scratch = createSamplerScratch(size);
  for (const change of [
    {},
    { topP: 0.9 },
    { topK: 40 },
    { minP: 0.05 },
    { topK: 1000, topP: 0.5, repetitionPenalty: 1.1 },
    { temperature: 0 },
  ]) {
    const token = createSampler({ ...plain, ...change }, [1], scratch).sample(logits);
    expect(Number.isInteger(token) && token >= 0 && token < size).toBe(true);
  }
});
