import { describe, expect, it } from 'vitest';
import { Acceptance } from '../../src/speculation/acceptance.ts';
import { Drafter } from '../../src/speculation/drafter.ts';
import { TokenList } from '../../src/token-list.ts';

const prompt = [1, 2, 3, 4, 5, 6, 7, 8];

function reader() {
  const others = new Acceptance(undefined, 1);
  const drafter = new Drafter();
  const read = (answer: readonly number[]) => {
    drafter.read(new TokenList([...prompt, ...answer]), prompt.length, others);
  };
  return { others, drafter, read };
}

describe('Drafter', () => {
  it('learns from every token of the answer, whether or not it was drafted, and from none of the prompt', () => {
    const { others, read } = reader();
    const fresh = others.rate(1);
    read([]);
    expect(others.rate(1)).toBe(fresh);
    // A first token that is not new promises the second, and so on: each keeps its promise.
    read([3, 4, 5]);
    expect(others.rate(1)).toBeGreaterThan(fresh);
    const kept = others.rate(3);
    read([3, 4, 5, 1]);
    expect(others.rate(3)).toBeLessThan(kept);
  });

  it('gives each token of a draft the chance of the match that it makes longer', () => {
    const { others, drafter, read } = reader();
    read([2, 3]);
    expect([...drafter.draft(5)]).toEqual([4, 5, 6, 7, 8]);
    expect([...drafter.rates(5)]).toEqual([2, 3, 4, 5, 6].map((length) => others.rate(length)));
    read([2, 3, 99]);
    expect([[...drafter.draft(5)], [...drafter.rates(5)]]).toEqual([[], []]);
  });
});
