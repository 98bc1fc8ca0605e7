import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Acceptance } from '../../src/speculation/acceptance.ts';
import { chooseDraftLength } from '../../src/speculation/draft-length.ts';

/** A step costs 1, and each further column a tenth. */
const flat = (columns: number) => 1 + 0.1 * (columns - 1);

describe('chooseDraftLength', () => {
  it('drafts long where drafts are right, short where they may be, and not where they are wrong', () => {
    const lengths = [1, 0.7, 0.05].map((rate) => chooseDraftLength([{ available: 15, rate }], flat, 64));
    expect(lengths[0]).toBe(15);
    expect(lengths[1]).toBeGreaterThan(0);
    expect(lengths[1]).toBeLessThan(15);
    expect(lengths[2]).toBe(0);
  });

  it('gives up where a batch makes columns dear', () => {
    const proportional = (columns: number) => columns;
    expect(chooseDraftLength(Array.from({ length: 16 }, () => ({ available: 8, rate: 0.99 })), proportional, 256)).toBe(0);
  });

  it('drafts nothing where the cost of a plain step is not known: its sums are not those of larger steps', () => {
    for (const unknown of [Infinity, NaN]) expect(chooseDraftLength([{ available: 15, rate: 1 }], (columns) => (columns < 8 ? unknown : 1), 64)).toBe(0);
  });

  it('promises never less than a plain step, and stays within drafts and columns', () => {
    const chance = fc.record({ available: fc.nat({ max: 16 }), rate: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(fc.property(fc.array(chance, { minLength: 1, maxLength: 16 }), fc.double({ min: 0, max: 2, noNaN: true }), (chances, slope) => {
      const costOf = (columns: number) => 1 + slope * columns;
      const length = chooseDraftLength(chances, costOf, 64);
      expect(length).toBeLessThanOrEqual(Math.max(...chances.map(({ available }) => available)));
      if (length === 0) return;
      expect(chances.length * (length + 1)).toBeLessThanOrEqual(64);
      const expected = chances.reduce((sum, { available, rate }) => sum + Array.from({ length: Math.min(available, length) + 1 }, (_, index) => rate ** index).reduce((a, b) => a + b), 0);
      expect(expected / costOf(chances.length * (length + 1))).toBeGreaterThan(chances.length / costOf(chances.length));
    }));
  });
});

describe('Acceptance', () => {
  it('follows what is accepted', () => {
    const acceptance = new Acceptance();
    for (let step = 0; step < 50; step += 1) acceptance.onDraft(20, 8, 8);
    expect(acceptance.rate(20)).toBeGreaterThan(0.95);
    for (let step = 0; step < 50; step += 1) acceptance.onDraft(20, 8, 0);
    expect(acceptance.rate(20)).toBeLessThan(0.1);
  });

  it('counts only tokens that were looked at: those after a wrong one tell nothing', () => {
    const [long, short] = [new Acceptance(), new Acceptance()];
    long.onDraft(3, 8, 0);
    short.onDraft(3, 1, 0);
    expect(long.rate(3)).toBe(short.rate(3));
    expect(long.rate(20)).toBe(new Acceptance().rate(20));
  });

  it('asks for a probe after a while, ever more seldom while probes fail', () => {
    const acceptance = new Acceptance();
    const waits = Array.from({ length: 8 }, () => {
      let steps = 0;
      for (; !acceptance.isProbeDue; steps += 1) acceptance.onPlainStep();
      acceptance.onDraft(3, 1, 0);
      return steps;
    });
    expect(waits).toEqual([16, 32, 64, 128, 256, 256, 256, 256]);
  });
});
