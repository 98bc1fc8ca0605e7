import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitsSchema } from '../../../src/router/tiers/scorers/fits-schema.ts';
import { scoreAnswer, scorers, type AnswerSample, type ScorerName } from '../../../src/router/tiers/scorers/index.ts';

const names = Object.keys(scorers) as ScorerName[];
const sample = (changes: Partial<AnswerSample>): AnswerSample => ({
  text: 'It is 7.',
  logprobs: undefined,
  finishReason: 'stop',
  isLimited: false,
  callsTools: false,
  responseFormat: undefined,
  ...changes,
});

describe('scorers', () => {
  it('give 0 … 1, or nothing, for any answer', () => {
    const any = fc.record<AnswerSample>({
      text: fc.string({ maxLength: 300 }),
      logprobs: fc.option(fc.array(fc.double({ min: -50, max: 0, noNaN: true })), { nil: undefined }),
      finishReason: fc.constantFrom('stop', 'length', 'content_filter', undefined),
      isLimited: fc.boolean(),
      callsTools: fc.boolean(),
      responseFormat: fc.constantFrom(undefined, { type: 'json_object' as const }),
    });
    fc.assert(
      fc.property(any, (answer) => {
        for (const score of Object.values(scoreAnswer([answer], names))) expect(score >= 0 && score <= 1).toBe(true);
      }),
    );
  });

  it.each([
    ['an answer', {}, 1],
    ['nothing', { text: ' \n' }, 0],
    ['nothing but a call of a tool', { text: '', callsTools: true }, 1],
    ['a refusal', { text: 'I’m sorry, I can’t help.' }, 0],
    ['a refusal in Chinese', { text: '抱歉，我无法回答。' }, 0],
    [
      'one who speaks of refusals in the end',
      { text: `${Array.from({ length: 40 }, (_, index) => `chapter ${index * 7919}`).join(', ')}. He said: I cannot.` },
      1,
    ],
    ['what breaks off', { finishReason: 'length' }, 0.2],
    ['what the client has cut', { finishReason: 'length', isLimited: true }, 1],
    ['what was filtered', { finishReason: 'content_filter' }, 0],
    ['what goes round in circles', { text: 'and so on '.repeat(40) }, 0.2],
    ['JSON', { text: '{"a":1}', responseFormat: { type: 'json_object' } }, 1],
    ['no JSON', { text: '{"a":', responseFormat: { type: 'json_object' } }, 0],
  ] as readonly (readonly [string, Partial<AnswerSample>, number])[])('shape: %s', (_, changes, score) => {
    expect(scorers.shape(sample(changes))).toBe(score);
  });

  it('weigh tokens', () => {
    const logprobs = [0, 0, 0, 0, -2, -2, -2, -2, 0, 0, 0, 0];
    const scores = scoreAnswer([sample({ logprobs })], names);
    expect(scores.logprob).toBeCloseTo(Math.exp(-8 / 12));
    expect(scores.weakest_logprob).toBeCloseTo(Math.exp(-2));
    expect(scoreAnswer([sample({ logprobs: [-1] })], names).weakest_logprob).toBeCloseTo(Math.exp(-1));
    expect(scoreAnswer([sample({})], names)).not.toHaveProperty('logprob');
  });

  it('of several choices, the lowest counts', () => {
    expect(scoreAnswer([sample({}), sample({ text: '' })], names).shape).toBe(0);
    expect(scoreAnswer([sample({ text: '1 + 1 = 2' }), sample({ text: '1 + 1 = 3, 2 + 2 = 4' })], names).arithmetic).toBe(0.5);
  });
});

describe('the form that a schema asks for', () => {
  it('is bounded, however deep and wide', () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 5000; depth += 1) deep = [deep];
    const schema: Record<string, unknown> = { type: 'array' };
    schema['items'] = schema;
    expect(fitsSchema(deep, schema)).toBe(true);
    expect(
      fitsSchema(
        Array.from({ length: 100_000 }, () => 'x'),
        { items: { type: 'number' } },
      ),
    ).toBe(false);
  });

  it.each([
    [{ a: 1 }, { type: 'object', required: ['a'] }, true],
    [{ a: 1 }, { required: ['b'] }, false],
    [[1, 'a'], { type: 'array', items: { type: 'integer' } }, false],
    [null, { type: ['string', 'null'] }, true],
    ['c', { enum: ['a', 'b'] }, false],
    [1.5, { type: 'integer' }, false],
    [{ x: 1 }, { additionalProperties: { type: 'string' } }, false],
    [7, { $ref: '#/elsewhere' }, true],
    [7, 'no schema', true],
  ])('%j in %j', (value, schema, fits) => {
    expect(fitsSchema(value, schema)).toBe(fits);
  });
});
