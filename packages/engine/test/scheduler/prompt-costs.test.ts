import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkGranularity, PromptBudget, type SchedulerLimits } from '../../src/scheduler/plan.ts';
import { affordable, PromptCosts, weighPiece } from '../../src/scheduler/prompt-costs.ts';

const limits: SchedulerLimits = { maxBatchSize: 8, stepTokenBudget: 256, maxChunk: 512, continuous: true };
const slopes = fc.double({ min: 0, max: 0.01, noNaN: true });

/** A machine on which a token costs `a` milliseconds, and `b` for each 1,000 tokens before it. */
function timeOf(computed: number, count: number, { a, b }: { readonly a: number; readonly b: number }): number {
  return count * (a + (b * (computed + count / 2)) / 1000);
}

function readPrompt(
  costs: PromptCosts,
  length: number,
  machine: { readonly a: number; readonly b: number },
  disturb = (milliseconds: number) => milliseconds,
): number[] {
  const times: number[] = [];
  for (let computed = 0; computed < length;) {
    const count = new PromptBudget(1, limits, costs.slope).take({ promptLength: length, computed });
    const milliseconds = timeOf(computed, count, machine);
    costs.add({ computed, count, milliseconds: disturb(milliseconds) });
    times.push(milliseconds);
    computed += count;
  }
  return times;
}

describe('PromptCosts', () => {
  it('finds the slope of a machine without noise', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 10, noNaN: true }), fc.double({ min: 0, max: 10, noNaN: true }), (a, b) => {
        const costs = new PromptCosts();
        for (const computed of [0, 512, 1024, 3000]) costs.add({ computed, count: 192, milliseconds: timeOf(computed, 192, { a, b }) });
        expect(costs.slope).toBeCloseTo(b / a / 1000, 6);
      }),
    );
  });

  it('learns nothing of a slope from pieces of one depth', () => {
    const costs = new PromptCosts();
    for (const milliseconds of [10, 30, 20]) costs.add({ computed: 0, count: 64, milliseconds });
    expect(costs.slope).toBe(0);
  });

  it('keeps what it knew while nothing but short prompts come', () => {
    const costs = new PromptCosts();
    readPrompt(costs, 4000, { a: 0.2, b: 0.1 });
    const known = costs.slope;
    expect(known).toBeCloseTo(0.0005, 5);
    for (let piece = 0; piece < 1000; piece += 1) costs.add({ computed: 0, count: 64, milliseconds: 12.8 });
    expect(costs.slope).toBeCloseTo(known, 4);
  });

  it('is finite and not negative whatever the clock says', () => {
    const piece = fc.record({ computed: fc.nat(100_000), count: fc.nat(600), milliseconds: fc.double({ min: -1, max: 1e6, noNaN: true }) });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 50 }), (pieces) => {
        const costs = new PromptCosts();
        for (const each of pieces) costs.add(each);
        expect(costs.slope).toBeGreaterThanOrEqual(0);
        expect(costs.slope).toBeLessThan(Infinity);
      }),
    );
  });

  it('with the budget, makes all steps of a long prompt about as long', () => {
    const machine = { a: 0.2, b: 0.1 };
    const costs = new PromptCosts();
    readPrompt(costs, 4000, machine);
    const times = readPrompt(costs, 4000, machine).toSorted((a, b) => a - b);
    const [median, worst] = [times[Math.floor(times.length / 2)] as number, times.at(-1) as number];
    expect(worst / median).toBeLessThan(1.6);
    const blind = Array.from({ length: 20 }, (_, index) => timeOf(index * 192, 192, machine));
    expect(worst).toBeLessThan(0.6 * Math.max(...blind));
  });

  it('is not led astray for long by a step that was interrupted', () => {
    const machine = { a: 0.2, b: 0.1 };
    const costs = new PromptCosts();
    let piece = 0;
    readPrompt(costs, 4000, machine, (milliseconds) => ((piece += 1) === 9 ? 4 * milliseconds : milliseconds));
    readPrompt(costs, 4000, machine);
    expect(costs.slope).toBeCloseTo(0.0005, 4);
  });
});

describe('a budget by cost', () => {
  it('buys what it pays for, and not a token more', () => {
    fc.assert(
      fc.property(fc.nat(50_000), fc.integer({ min: 1, max: 2000 }), slopes, (computed, budget, slope) => {
        const count = affordable(computed, budget, slope);
        expect(weighPiece(computed, count, slope)).toBeLessThanOrEqual(budget * (1 + 1e-9));
        expect(weighPiece(computed, count + 1, slope)).toBeGreaterThan(budget * (1 - 1e-9));
      }),
    );
  });

  it('reads every prompt to its end, at multiples of the granule, however steep the slope', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8000 }), fc.nat(7), slopes, (promptLength, decodingCount, slope) => {
        let computed = 0;
        while (computed < promptLength) {
          const count = new PromptBudget(decodingCount, limits, slope).take({ promptLength, computed });
          expect(count).toBeGreaterThan(0);
          expect(computed % chunkGranularity).toBe(0);
          computed += count;
        }
        expect(computed).toBe(promptLength);
      }),
    );
  });

  it('does not look at costs when nothing decodes', () => {
    expect(new PromptBudget(0, limits, 0.01).take({ promptLength: 8000, computed: 4096 })).toBe(512);
  });
});
