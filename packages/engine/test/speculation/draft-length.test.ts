import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseWidth, verifyWidths, widthFor } from '../../src/speculation/draft-length.ts';

/** A step costs 1, and each further column a tenth. */
const flat = (width: number) => 1 + 0.1 * (width - 1);
const rates = (count: number, rate: number) => new Array<number>(count).fill(rate);

describe('chooseWidth', () => {
  it('drafts long where drafts are right, short where they may be, and not where they are wrong', () => {
    const widths = [1, 0.7, 0.05].map((rate) => chooseWidth([rates(31, rate)], flat, { widthMax: 64, riskMax: Infinity }));
    expect(widths[0]).toBe(32);
    expect(widths[1]).toBeGreaterThan(1);
    expect(widths[1]).toBeLessThan(16);
    expect(widths[2]).toBe(1);
  });

  it('gives up where a batch makes columns dear', () => {
    expect(
      chooseWidth(
        Array.from({ length: 16 }, () => rates(3, 0.99)),
        (width) => width,
        { widthMax: 4, riskMax: Infinity },
      ),
    ).toBe(1);
  });

  it('drafts nothing where the cost of a plain step is not known: its sums are not those of larger steps', () => {
    for (const unknown of [Infinity, NaN])
      expect(chooseWidth([rates(15, 1)], (width) => (width < 8 ? unknown : 1), { widthMax: 64, riskMax: Infinity })).toBe(1);
  });

  it('promises always more than a plain step, and stays within the bound and near to the drafts', () => {
    const chance = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 31 });
    fc.assert(
      fc.property(
        fc.array(chance, { minLength: 1, maxLength: 16 }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.integer({ min: 1, max: 64 }),
        fc.double({ min: 0, max: 8, noNaN: true }),
        (chances, slope, widthMax, riskMax) => {
          const costOf = (width: number) => 1 + slope * chances.length * width;
          const width = chooseWidth(chances, costOf, { widthMax, riskMax });
          if (width === 1) return;
          expect(verifyWidths).toContain(width);
          expect(costOf(width) / costOf(1) - 1).toBeLessThanOrEqual(riskMax + 1e-9);
          expect(width).toBeLessThanOrEqual(widthMax);
          expect(width).toBeLessThanOrEqual(widthFor(Math.max(...chances.map(({ length }) => length))));
          const expected = chances.reduce(
            (sum, rates) =>
              sum +
              rates
                .slice(0, width - 1)
                .reduce(({ survival, tokens }, rate) => ({ survival: survival * rate, tokens: tokens + survival * rate }), {
                  survival: 1,
                  tokens: 1,
                }).tokens,
            0,
          );
          expect(expected / costOf(width)).toBeGreaterThan(chances.length / costOf(1));
        },
      ),
    );
  });
});

describe('widthFor', () => {
  it('is the least width that holds the draft and the token before it', () => {
    expect([0, 1, 2, 3, 4, 5, 7, 8, 31].map(widthFor)).toEqual([1, 2, 3, 4, 6, 6, 8, 12, 32]);
  });
});
