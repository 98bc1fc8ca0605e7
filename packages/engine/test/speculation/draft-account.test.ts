import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowance, DraftAccount } from '../../src/speculation/draft-account.ts';

describe('DraftAccount', () => {
  it('bounds the loss by what is lent and the surprise of one step, for any costs, gains and places lost', () => {
    const step = fc.record({
      expected: fc.double({ min: 1, max: 20, noNaN: true }),
      took: fc.double({ min: 0.1, max: 40, noNaN: true }),
      gained: fc.integer({ min: 1, max: 32 }),
      losesPlace: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const account = new DraftAccount();
        let [computed, tokens, lost, surpriseMost] = [10, 0, 0, 0];
        for (const { expected, took, gained, losesPlace } of steps) {
          const isDrafted = expected - 1 <= account.credit;
          if (isDrafted) {
            account.pay(computed, expected);
            account.correct(took);
            lost += took - (losesPlace ? 1 : gained);
            surpriseMost = Math.max(surpriseMost, took - expected);
          }
          const brought = isDrafted ? gained : 1;
          computed = losesPlace ? 0 : computed + brought;
          for (let token = 0; token < brought; token += 1) account.lend();
          tokens += brought;
          account.settle(computed);
          expect(lost).toBeLessThanOrEqual(allowance.first + tokens * allowance.perToken + surpriseMost + 1e-9);
        }
      }),
    );
  });

  it('makes no draft after a step that took more than all that is lent, until enough is', () => {
    const account = new DraftAccount();
    account.pay(0, 2);
    account.correct(4);
    account.settle(1);
    expect(account.credit).toBeCloseTo(allowance.first - 3);
    for (let token = 0; token < 3 / allowance.perToken; token += 1) account.lend();
    expect(account.credit).toBeCloseTo(allowance.first);
  });

  it('may lose what it has won, up to a bound', () => {
    const account = new DraftAccount();
    account.pay(0, 2);
    account.settle(5);
    expect(account.credit).toBeCloseTo(allowance.first + 3);
    account.pay(5, 1);
    account.settle(1000);
    expect(account.credit).toBe(allowance.wonMax);
  });

  it('charges what was expected of a step whose time is not told, and nothing for one that was not paid', () => {
    const account = new DraftAccount();
    account.correct(9);
    account.settle(1);
    expect(account.credit).toBe(allowance.first);
    account.pay(1, 2);
    account.settle(2);
    expect(account.credit).toBe(allowance.first - 1);
  });
});
