import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkPolicyFile,
  gainAt,
  hashedSize,
  observeAnswer,
  observePrompt,
  policyFormat,
  policyVersion,
  predict,
  type GainModel,
  type LinearModel,
} from '../../../src/router/tiers/policy/index.ts';

const flat: LinearModel = { intercept: 0, numbers: {}, words: [] };
const byLength: LinearModel = { intercept: 0, numbers: { characters: { mean: 4, deviation: 1, weight: -1 } }, words: [] };
const model: GainModel = { cheap: byLength, strong: flat, gains: Array.from({ length: 101 }, (_, percent) => 0.5 - percent / 100) };
const file = {
  format: policyFormat,
  version: policyVersion,
  learned: { questions: 100, cheap_right: 0.6, strong_right: 0.9, at_half: { random: 0.75 } },
  prompt: model,
};

describe('a policy', () => {
  it('sees more to gain in what the cheap model is likelier to get wrong', () => {
    const short = predict(model, observePrompt('2 + 2?'));
    const long = predict(model, observePrompt('2 + 2? '.repeat(100)));
    expect(long.gain).toBeGreaterThan(short.gain);
    expect(long.strong).toBe(0.5);
  });

  it('knows the gain that a share of the questions exceeds', () => {
    expect(gainAt(model, 0)).toBe(Infinity);
    expect(gainAt(model, 0.25)).toBeCloseTo(0.25);
    expect(gainAt(model, 0.255)).toBeCloseTo(0.245);
    expect(gainAt(model, 1)).toBeCloseTo(-0.5);
  });

  it('leans on the length of the prompt where it was learned so', () => {
    const leaning: GainModel = { cheap: flat, strong: flat, length: { mean: 3, deviation: 0.5, weight: 0.1 }, gains: model.gains };
    expect(predict(leaning, observePrompt('x'.repeat(Math.round(Math.exp(3)) - 1))).gain).toBeCloseTo(0, 2);
    expect(predict(leaning, observePrompt('x'.repeat(Math.round(Math.exp(4)) - 1))).gain).toBeCloseTo(0.2, 2);
    expect(predict(leaning, observePrompt('x'.repeat(100_000))).gain).toBeCloseTo(0.4);
  });

  it('gives probabilities for anything', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (prompt, answer) => {
        const { cheap, strong, gain } = predict(model, observeAnswer(prompt, answer, { logprob: 0.3 }));
        for (const likely of [cheap, strong]) expect(likely >= 0 && likely <= 1).toBe(true);
        expect(gain >= -1 && gain <= 1).toBe(true);
      }),
    );
  });

  it('takes a score that it knows, and does without one that nobody gave', () => {
    const scored: GainModel = {
      ...model,
      cheap: { intercept: 0, numbers: { score_logprob: { mean: 0.5, deviation: 0.25, weight: 1 } }, words: [] },
    };
    expect(predict(scored, observeAnswer('a', 'b', { logprob: 0.75 })).cheap).toBeCloseTo(1 / (1 + Math.exp(-1)));
    expect(predict(scored, observeAnswer('a', 'b')).cheap).toBe(0.5);
  });
});

describe("a policy's file", () => {
  it('is read as it was written', () => {
    expect(checkPolicyFile(JSON.parse(JSON.stringify(file)), 'p.json')).toEqual(file);
  });

  it.each([
    ['no object', [], 'p.json is no policy that autoglm tune cascade wrote'],
    ['another file', { format: 'x' }, 'p.json is no policy'],
    ['a later version', { ...file, version: 2 }, 'p.json has version 2, and this program reads 1'],
    ['a missing model', { ...file, prompt: undefined }, 'p.json is damaged'],
    ['too few words', { ...file, prompt: { ...model, cheap: { ...flat, words: [1, 2] } } }, 'p.json is damaged'],
    [
      'a deviation of 0',
      { ...file, prompt: { ...model, cheap: { ...flat, numbers: { a: { mean: 0, deviation: 0, weight: 1 } } } } },
      'p.json is damaged',
    ],
    ['an unknown key', { ...file, more: 1 }, 'p.json is damaged'],
  ])('is refused: %s', (_, value, message) => {
    expect(() => checkPolicyFile(value, 'p.json')).toThrow(message);
  });

  it('may weigh words', () => {
    const words = new Array<number>(hashedSize).fill(0.1);
    expect(() => checkPolicyFile({ ...file, answer: { ...model, cheap: { ...flat, words } } }, 'p.json')).not.toThrow();
  });
});
