import { probability, type Observation } from '@open-autoglm/gateway/cascade-policy';
import { createRandom } from '@open-autoglm/statistics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compare, curveOf } from '../../src/tune/cascade/curve.ts';
import { fitLogistic } from '../../src/tune/cascade/fit-logistic.ts';
import { learn } from '../../src/tune/cascade/learn.ts';
import type { Outcome } from '../../src/tune/cascade/outcomes.ts';

const random = createRandom(7);
const quiet = { seed: 1, onProgress: () => {} };
const outcome = (prompt: string, cheapRight: boolean, strongRight: boolean, cheapAnswer?: string): Outcome => ({
  prompt,
  cheapRight,
  strongRight,
  cheapAnswer,
  cheapScores: undefined,
});

/** Questions of which the cheap model cannot do those with many numbers; the answers that are wrong say so. */
function makeOutcomes(count: number, isLearnable: boolean): Outcome[] {
  return Array.from({ length: count }, (_, index) => {
    const numbers = 1 + Math.floor(random() * 8);
    const isHard = isLearnable ? numbers > 4 : random() < 0.5;
    const right = random() < (isHard ? 0.2 : 0.95);
    return outcome(
      `Question ${index}: ${Array.from({ length: numbers }, () => Math.floor(random() * 50)).join(' apples and ')} ${'pad '.repeat(Math.floor(random() * 40))}?`,
      right,
      random() < 0.9,
      right ? '1 + 1 = 2' : '1 + 1 = 3',
    );
  });
}

describe('logistic regression', () => {
  it('finds the weights that the data were made with', () => {
    const observations: Observation[] = Array.from({ length: 20_000 }, () => ({
      numbers: { a: random() * 2 - 1, b: random() * 2 - 1 },
      words: undefined,
    }));
    const isRight = observations.map(
      ({ numbers }) => random() < 1 / (1 + Math.exp(-(0.5 + 2 * (numbers['a'] as number) - (numbers['b'] as number)))),
    );
    const model = fitLogistic(observations, isRight, { numberPenalty: 1e-3, wordPenalty: undefined });
    expect((model.numbers['a']?.weight as number) / (model.numbers['a']?.deviation as number)).toBeCloseTo(2, 0);
    const likely = (a: number, b: number) => probability(model, { numbers: { a, b }, words: undefined });
    expect(likely(0, 0)).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 1);
    expect(likely(1, 0)).toBeCloseTo(1 / (1 + Math.exp(-2.5)), 1);
    expect(likely(0, 1)).toBeCloseTo(1 / (1 + Math.exp(0.5)), 1);
  });

  it('is finite for whatever data: all alike, all right, one column that never changes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ a: fc.double({ noNaN: true, min: -1e6, max: 1e6 }), right: fc.boolean() }), { minLength: 1, maxLength: 40 }),
        (rows) => {
          const model = fitLogistic(
            rows.map(({ a }) => ({ numbers: { a, same: 3 }, words: undefined })),
            rows.map(({ right }) => right),
            { numberPenalty: 1, wordPenalty: undefined },
          );
          const likely = probability(model, { numbers: { a: 0, same: 100 }, words: undefined });
          expect(likely > 0 && likely < 1).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('a learned policy', () => {
  it('is better than the length of the prompt where there is something to learn', () => {
    const outcomes = makeOutcomes(400, true);
    const { gains } = learn(outcomes, 'prompt', quiet);
    const half = compare(
      outcomes,
      [
        { name: 'length', scores: outcomes.map(({ prompt }) => prompt.length) },
        { name: 'prompt', scores: gains },
      ],
      1,
    ).find(({ strongShare }) => strongShare === 0.5);
    expect(half?.ways[1]?.better.low).toBeGreaterThan(0.02);
    expect(half?.ways[1]?.accuracy.value).toBeLessThanOrEqual(half?.oracle as number);
  });

  it('is no better than chance where there is nothing to learn: no question is judged by who saw it', () => {
    const outcomes = makeOutcomes(400, false).map((made, index, all) => ({
      ...made,
      cheapAnswer: all[(index + 1) % all.length]?.cheapAnswer,
    }));
    const { gains } = learn(outcomes, 'answer', quiet);
    const half = compare(outcomes, [{ name: 'answer', scores: gains }], 1).find(({ strongShare }) => strongShare === 0.5);
    expect(Math.abs((half?.ways[0]?.accuracy.value as number) - (half?.random as number))).toBeLessThan(0.07);
  });

  it('does not learn a question from its double', () => {
    const prompts = Array.from({ length: 100 }, (_, index) => `${'qwertyuiop'.slice(index % 10)} ${index} ${random()}`);
    const outcomes = prompts.flatMap((prompt) => {
      const right = random() < 0.5;
      return [outcome(prompt, right, true), outcome(prompt, right, true)];
    });
    const { gains } = learn(outcomes, 'prompt', quiet);
    const half = curveOf(outcomes, gains).find(({ strongShare }) => strongShare === 0.5);
    expect(half?.accuracy).toBeLessThan(0.86);
  });

  it('has falling thresholds, and is the same for the same seed', () => {
    const outcomes = makeOutcomes(120, true);
    const { model } = learn(outcomes, 'answer', quiet);
    expect(model.gains).toHaveLength(101);
    expect(model.gains).toEqual(model.gains.toSorted((a, b) => b - a));
    expect(learn(outcomes, 'answer', quiet).model).toEqual(model);
  });
});
