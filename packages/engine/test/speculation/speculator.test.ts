import { describe, expect, it } from 'vitest';
import { createSamplerScratch } from '../../src/sampler/sampler.ts';
import { createSequence, type Sequence } from '../../src/sequence.ts';
import { Speculator } from '../../src/speculation/speculator.ts';
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
  const sequence = createSequence({ request: tokenRequest(id, prompt, 4000), prompt, contextLength: 4096, bounds: undefined, constraint: undefined, scratch: createSamplerScratch(vocabularySize), delays: new SequenceDelays(new DelayAccount(() => ({ missingCoresMs: 0, gcMs: 0 }))), now: 0, order: 0 });
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
  drafter.settle(computed);
  return drafter.credit;
}

describe('Speculator', () => {
  const withRoom = () => true;

  it('takes no plain step for the gain of a draft, however long nothing is looked up', () => {
    const speculator = new Speculator({ costOf, observe: () => {} });
    const one = begin('one');
    const before = creditOf(one);
    const [draft] = speculator.draft([one], withRoom);
    expect(draft?.length).toBeGreaterThan(0);
    advance(one, [], 'new');
    const batch = [one, ...Array.from({ length: 19 }, (_, index) => begin(`other ${index}`))];
    for (let step = 0; step < 30; step += 1) {
      for (const draft of speculator.draft(batch, withRoom)) expect(draft.length).toBe(0);
      for (const sequence of batch) advance(sequence, [], 'new');
    }
    speculator.draft([one], withRoom);
    expect(creditOf(one)).toBeLessThan(before - 1);
  });

  it('has nobody pay for what others win: no credit falls below nothing', () => {
    const speculator = new Speculator({ costOf, observe: () => {} });
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
    expect(lost).toBeLessThanOrEqual(3 + 200 * 0.01);
  });

  it('charges for no draft that found no memory', () => {
    const speculator = new Speculator({ costOf, observe: () => {} });
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
      expect(new Speculator({ costOf: unknown, observe: () => {} }).draft([one], withRoom)[0]?.length).toBe(0);
      expect(one.drafter.rates(4).length).toBe(0);
    }
    const one = begin('one');
    new Speculator({ costOf, observe: () => {} }).draft([one], withRoom);
    expect(one.drafter.rates(4).length).toBe(4);
  });
});
