import { greedySampling } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Constraint, constrainedSampler } from '../../src/constraints/constraint.ts';
import { choice, sequence } from '../../src/constraints/grammar.ts';
import { literals } from '../../src/constraints/terminals/literals.ts';
import { textWithout } from '../../src/constraints/terminals/plain-text.ts';
import { createSampler, createSamplerScratch } from '../../src/sampler/sampler.ts';
import { accepts, constraintOf, controlToken, endToken, table, tokens } from './support.ts';

const tokenOf = (text: string) =>
  Array.from({ length: tokens.size }, (_, token) => token).find((token) => Buffer.from(tokens.bytes(token)).toString() === text) as number;
const scratch = createSamplerScratch(tokens.size);
const sampling = { ...greedySampling, temperature: 1, seed: 1 };

describe('a constraint', () => {
  it('masks exactly what it does not allow, wherever it stands', () => {
    const schema = {
      type: 'object',
      properties: {
        名: { type: 'string', maxLength: 4 },
        n: { type: 'integer', minimum: 5, maximum: 1200 },
        e: { enum: ['北京', '北海', 'b'] },
        any: true,
      },
      required: ['名'],
    };
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (choices) => {
        const constraint = constraintOf(schema);
        const logits = Float32Array.from({ length: tokens.size }, (_, token) => token);
        const masked = new Float32Array(tokens.size);
        for (let step = 0; step < 30 && !constraint.isDone; step += 1) {
          constraint.mask(logits, masked);
          const allowed = Array.from(logits.keys()).filter((token) => constraint.allows(token));
          expect(Array.from(masked.keys()).filter((token) => masked[token] === token)).toEqual(allowed);
          const going = allowed.filter((token) => token !== endToken);
          const next = going[(choices.next().value as number) % going.length];
          if (next === undefined) return;
          constraint.accept(next);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('never allows control tokens, and the end only where the text is whole', () => {
    const constraint = constraintOf({ type: 'integer', minimum: 10, maximum: 10 });
    expect([constraint.allows(controlToken), constraint.allows(endToken)]).toEqual([false, false]);
    constraint.accept(tokenOf('1'));
    expect(constraint.allows(endToken)).toBe(false);
    constraint.accept(tokenOf('0'));
    expect(constraint.isDone).toBe(true);
    expect(() => constraint.accept(tokenOf('0'))).toThrow('against the grammar');
  });

  it('is what its tokens make it, whenever they are accepted', () => {
    const tried = ['{"', 'a"', ':', ' ', '"', '北京'].map(tokenOf);
    const [first, again] = [constraintOf({ type: 'object' }), constraintOf({ type: 'object' })];
    for (const token of tried) {
      expect(first.allows(token)).toBe(true);
      first.accept(token);
    }
    for (const token of tried) again.accept(token);
    const masks = [first, again].map((constraint) => {
      const masked = new Float32Array(tokens.size);
      constraint.mask(new Float32Array(tokens.size), masked);
      return masked;
    });
    expect(masks[0]).toEqual(masks[1]);
  });

  it('lets a text be anything before a word, and what follows the word only what is said', () => {
    const grammar = choice(textWithout('<call>'), sequence(textWithout('<call>'), literals(['<call>']), literals(['f()'])));
    for (const text of ['', 'hello', '<cal', '<<call>f()', 'a <call>f()']) expect([text, accepts(grammar, text)]).toEqual([text, true]);
    for (const text of ['<call>', '<call>g()', '<call>f() ', 'a <call>f()<call>f()'])
      expect([text, accepts(grammar, text)]).toEqual([text, false]);
  });

  it('draws allowed tokens in proportion to their probabilities', () => {
    const logits = new Float32Array(tokens.size).fill(-20);
    const weights = { t: 3, f: 1, x: 4 };
    for (const [letter, weight] of Object.entries(weights)) logits[letter.charCodeAt(0)] = Math.log(weight);
    const counts = { t: 0, f: 0 };
    for (let seed = 0; seed < 4000; seed += 1) {
      const sampler = constrainedSampler(
        createSampler({ ...sampling, seed }, [], scratch),
        constraintOf({ enum: ['t', true, false] }),
        scratch.masked,
      );
      const token = sampler.sample(logits);
      if (token === 't'.charCodeAt(0)) counts.t += 1;
      else if (token === 'f'.charCodeAt(0)) counts.f += 1;
    }
    expect(counts.t + counts.f).toBeGreaterThan(3990);
    expect(counts.t / counts.f).toBeGreaterThan(2.6);
    expect(counts.t / counts.f).toBeLessThan(3.4);
  });

  it('takes the likeliest allowed token when greedy, whatever cuts the choice', () => {
    const logits = Float32Array.from({ length: tokens.size }, (_, token) => -token);
    for (const changes of [{ temperature: 0 }, { topK: 1 }, { topP: 0.01 }, { minP: 1 }]) {
      const constraint = new Constraint(literals(['z', 'y']), table);
      expect(constrainedSampler(createSampler({ ...sampling, ...changes }, [], scratch), constraint, scratch.masked).sample(logits)).toBe(
        'y'.charCodeAt(0),
      );
    }
  });

  it('is kept where the logits are no numbers', () => {
    for (const logit of [Number.NaN, -Infinity]) {
      const constraint = new Constraint(literals(['z', 'y']), table);
      const sampler = constrainedSampler(createSampler(sampling, [], scratch), constraint, scratch.masked);
      const token = sampler.sample(new Float32Array(tokens.size).fill(logit));
      expect(token).toBe('y'.charCodeAt(0));
      sampler.accept(token);
      expect(constraint.isDone).toBe(true);
    }
  });
});
