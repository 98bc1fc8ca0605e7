import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSamplerScratch } from '../../src/sampler/sampler.ts';
import { createSequence, type Sequence } from '../../src/sequence.ts';
import { allowance } from '../../src/speculation/draft-account.ts';
import { Speculator, widthOf } from '../../src/speculation/speculator.ts';
import type { StepSize } from '../../src/speculation/step-costs.ts';
import { DelayAccount, SequenceDelays } from '../../src/stats/delay-account.ts';
import { tokenRequest } from '../support/requests.ts';

const vocabularySize = 100_000;
const period = [1, 2, 3, 4, 5, 6, 7, 8];
/** Steps with drafts of at most 32 columns cost as much as two and a half; larger ones never pay. */
const costOf = ({ columns, isPlain }: StepSize) => (isPlain ? 1 : columns > 32 ? 1000 : 2.5);

/** One whose prompt repeats itself, so that its text promises tokens, ready to decode. */
function begin(id: string): Sequence {
  const prompt = [...period, ...period, ...period];
  const sequence = createSequence({
    request: tokenRequest(id, prompt, 4000),
    prompt,
    contextLength: 4096,
    bounds: undefined,
    constraint: undefined,
    scratch: createSamplerScratch(vocabularySize),
    delays: new SequenceDelays(new DelayAccount(() => ({ missingCoresMs: 0, gcMs: 0 }))),
    now: 0,
    order: 0,
  });
  sequence.computed = prompt.length;
  sequence.tokens.push(1);
  sequence.generated = 1;
  return sequence;
}

/** What a step brings: the draft and one token more for one that repeats itself, else one token that nothing promised. */
function advance(sequence: Sequence, draft: ArrayLike<number>, brings: 'promised' | 'new'): void {
  const { tokens } = sequence;
  const count = brings === 'promised' ? draft.length + 1 : 1;
  for (let index = 0; index < count; index += 1) {
    const last = tokens.at(tokens.length - 1);
    tokens.push(brings === 'promised' ? (last % 8) + 1 : 1000 + tokens.length);
  }
  sequence.computed += count;
  sequence.generated += count;
}

function creditOf({ drafter, computed }: Sequence): number {
  drafter.account.settle(computed);
  return drafter.account.credit;
}

describe('Speculator', () => {
  const withRoom = () => true;

  it('takes no plain step for the gain of a draft, however long nothing is looked up', () => {
    const speculator = new Speculator({ costOf, observe: () => undefined });
    const one = begin('one');
    const tokens = one.tokens.length;
    const [draft] = speculator.draft([one], withRoom);
    expect(draft?.length).toBeGreaterThan(0);
    advance(one, [], 'new');
    const batch = [one, ...Array.from({ length: 19 }, (_, index) => begin(`other ${index}`))];
    for (let step = 0; step < 30; step += 1) {
      for (const draft of speculator.draft(batch, withRoom)) expect(draft.length).toBe(0);
      for (const sequence of batch) advance(sequence, [], 'new');
    }
    speculator.draft([one], withRoom);
    expect(creditOf(one)).toBeCloseTo(allowance.first + (one.tokens.length - tokens + 1) * allowance.perToken - 1.5, 5);
  });

  it('has nobody pay for what others win: no credit falls below nothing', () => {
    const speculator = new Speculator({ costOf, observe: () => undefined });
    const [copies, invents] = [begin('copies'), begin('invents')];
    let [lost, won] = [0, 0];
    for (let step = 0; step < 200; step += 1) {
      const drafts = speculator.draft([copies, invents], withRoom);
      if (drafts.some(({ length }) => length > 0)) lost += 1.5;
      won += drafts[0]?.length ?? 0;
      advance(copies, drafts[0] ?? [], 'promised');
      advance(invents, [], 'new');
      for (const sequence of [copies, invents]) expect(creditOf(sequence)).toBeGreaterThanOrEqual(0);
    }
    expect(won).toBeGreaterThan(0);
    expect(lost).toBeLessThanOrEqual(allowance.first + 201 * allowance.perToken);
  });

  it('loses no more than is lent, and once what a step took beyond its expected cost, however drafts turn out and whatever steps take', () => {
    const steps = fc.array(
      fc.record({
        right: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 31 }) }),
        tookMs: fc.double({ min: 0.1, max: 40, noNaN: true }),
      }),
      { minLength: 20, maxLength: 120 },
    );
    fc.assert(
      fc.property(steps, fc.double({ min: 1.1, max: 6, noNaN: true }), (taken, believed) => {
        const believedCost = ({ isPlain }: StepSize) => (isPlain ? 1 : believed);
        const speculator = new Speculator({ costOf: believedCost, observe: (_, milliseconds) => milliseconds });
        const one = begin('one');
        const generatedBefore = one.generated - 1;
        let [lost, surpriseMost] = [0, 0];
        for (const { right, tookMs } of taken) {
          const draft = speculator.draft([one], withRoom)[0] ?? [];
          const width = widthOf([Int32Array.from(draft)]);
          speculator.observe([one], width, tookMs);
          const accepted = Math.min(right, draft.length);
          if (draft.length > 0) {
            const cost = Math.min(width, tookMs, 1.5 * believed);
            lost += cost - accepted - 1;
            surpriseMost = Math.max(surpriseMost, cost - believed);
          }
          for (let index = 0; index < accepted; index += 1) one.tokens.push(draft[index] as number);
          // One that was not promised, after which the text promises again.
          one.tokens.push(((draft[accepted] ?? one.tokens.at(one.tokens.length - 1)) % 8) + 1);
          one.computed += accepted + 1;
          one.generated += accepted + 1;
          expect(lost).toBeLessThanOrEqual(allowance.first + (one.generated - generatedBefore) * allowance.perToken + surpriseMost + 1e-9);
        }
      }),
    );
  });

  it('charges what a step took by the clock, and an interrupted one no more than half above what such steps take', () => {
    for (const [tookMs, charged] of [
      [2, 2],
      [3.25, 3.25],
      [1000, 3.75],
    ] as const) {
      const speculator = new Speculator({ costOf, observe: (_, milliseconds) => milliseconds });
      const one = begin('one');
      speculator.draft([one], withRoom);
      speculator.observe([one], 8, tookMs);
      advance(one, [], 'new');
      expect(creditOf(one)).toBeCloseTo(allowance.first + allowance.perToken + 1 - charged, 5);
    }
  });

  it('charges for no draft that found no memory', () => {
    const speculator = new Speculator({ costOf, observe: () => undefined });
    const one = begin('one');
    const before = creditOf(one);
    let asked = 0;
    const withoutRoom = () => {
      asked += 1;
      return false;
    };
    for (let step = 0; step < 20; step += 1) {
      const drafts = speculator.draft([one], withoutRoom);
      expect(drafts.map(({ length }) => length)).toEqual([0]);
      advance(one, [], 'promised');
    }
    expect(asked).toBe(20);
    expect(creditOf(one)).toBeGreaterThanOrEqual(before);
  });

  it('looks nothing up, not even for a lone sequence, where no draft could be verified', () => {
    const nothing = ({ isPlain }: StepSize) => (isPlain ? 1 : Infinity);
    for (const unknown of [() => Infinity, nothing]) {
      const one = begin('one');
      expect(new Speculator({ costOf: unknown, observe: () => undefined }).draft([one], withRoom)[0]?.length).toBe(0);
      expect(one.drafter.rates(4).length).toBe(0);
    }
    const one = begin('one');
    new Speculator({ costOf, observe: () => undefined }).draft([one], withRoom);
    expect(one.drafter.rates(4).length).toBe(4);
  });
});
