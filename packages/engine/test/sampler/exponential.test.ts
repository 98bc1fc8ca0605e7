import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expOfNegative, negligibleLogRatio } from '../../src/sampler/exponential.ts';

test('agrees with Math.exp to eight digits over its whole range', () => {
  fc.assert(
    fc.property(fc.double({ min: negligibleLogRatio, max: 0, noNaN: true }), (x) => {
      expect(Math.abs(expOfNegative(x) / Math.exp(x) - 1)).toBeLessThan(1e-8);
    }),
    { numRuns: 1000 },
  );
});

test('is exact where it matters most, and defined at its ends', () => {
  expect(expOfNegative(0)).toBe(1);
  expect(expOfNegative(negligibleLogRatio)).toBeCloseTo(2 ** -53, 20);
});
