import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QuantilePredictor } from '../../src/admission/length-predictor.ts';
import { levelOf } from '@open-autoglm/protocol';

const kind = { tenant: 'a', model: 'm', promptTokens: 100, maxTokens: undefined as number | undefined };

describe('QuantilePredictor', () => {
  it('tells the median of what answers of the same kind were like', () => {
    const predictor = new QuantilePredictor();
    for (const tokens of [10, 12, 11, 900, 10, 11, 12, 13]) predictor.learn(kind, tokens);
    expect(predictor.predict(kind)).toBeGreaterThanOrEqual(10);
    expect(predictor.predict(kind)).toBeLessThanOrEqual(13);
    expect(predictor.predict({ ...kind, promptTokens: 120 })).toBe(predictor.predict(kind));
  });

  it('asks all tenants where one is new, and the bound where all are', () => {
    const predictor = new QuantilePredictor();
    for (let count = 0; count < 8; count += 1) predictor.learn(kind, 40);
    expect(predictor.predict({ ...kind, tenant: 'b' })).toBe(40);
    for (let count = 0; count < 8; count += 1) predictor.learn({ ...kind, tenant: 'b' }, 7);
    expect([predictor.predict({ ...kind, tenant: 'b' }), predictor.predict(kind)]).toEqual([7, 40]);
    expect([predictor.predict({ ...kind, model: 'n', maxTokens: 16 }), predictor.predict({ ...kind, model: 'n' })]).toEqual([16, 256]);
  });

  it('never tells more than the bound, nor less than one', () => {
    const asked = fc.record({
      tenant: fc.constantFrom('', 'a', 'b'),
      model: fc.constantFrom('m', 'n'),
      promptTokens: fc.nat(10_000),
      maxTokens: fc.option(fc.integer({ min: 1, max: 4096 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(asked, fc.nat(5000)), { maxLength: 200 }), (list) => {
        const predictor = new QuantilePredictor();
        for (const [one, tokens] of list) {
          const predicted = predictor.predict(one);
          expect(predicted).toBeGreaterThanOrEqual(1);
          expect(predicted).toBeLessThanOrEqual(one.maxTokens ?? Infinity);
          predictor.learn(one, tokens);
        }
      }),
    );
  });
});

describe('levelOf', () => {
  it('holds work that differs by less than the weight in one level', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1e9, noNaN: true }),
        fc.double({ min: 1.1, max: 4, noNaN: true }),
        (workMs, priorityWeight) => {
          const level = levelOf(workMs, { timeSliceMs: 2, priorityWeight });
          expect(level).toBeGreaterThanOrEqual(0);
          expect(level).toBeLessThanOrEqual(63);
          if (level > 0 && level < 63) expect(2 * priorityWeight ** level).toBeGreaterThanOrEqual(workMs * 0.999);
          expect(levelOf(workMs * priorityWeight * 1.001, { timeSliceMs: 2, priorityWeight })).toBeGreaterThanOrEqual(level);
        },
      ),
    );
  });
});
