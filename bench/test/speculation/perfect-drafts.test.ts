import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { speedOfPerfectDrafts } from '../../src/speculation/perfect-drafts.ts';

describe('speedOfPerfectDrafts', () => {
  it('takes the steps that make the tokens soonest, a last one wider than what is left too', () => {
    const costs = new Map([
      [1, 2],
      [4, 3],
      [8, 5],
    ]);
    expect([1, 4, 7, 8, 9].map((tokens) => speedOfPerfectDrafts(tokens, costs))).toEqual([1, 8 / 3, 14 / 5, 16 / 5, 18 / 7]);
  });

  it('is 1 where no step makes a token sooner than a plain one', () => {
    expect(
      speedOfPerfectDrafts(
        191,
        new Map([
          [1, 1],
          [2, 2],
          [8, 9],
        ]),
      ),
    ).toBe(1);
  });

  it('is at least the speed of any sequence of steps', () => {
    const costs = new Map([
      [1, 1],
      [2, 1.7],
      [4, 2.4],
      [8, 4],
      [16, 6.5],
    ]);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...costs.keys()), { minLength: 1, maxLength: 40 }), (widths) => {
        const tokens = widths.reduce((sum, width) => sum + width, 0);
        const cost = widths.reduce((sum, width) => sum + (costs.get(width) as number), 0);
        expect(speedOfPerfectDrafts(tokens, costs)).toBeGreaterThanOrEqual(tokens / cost - 1e-9);
      }),
    );
  });
});
