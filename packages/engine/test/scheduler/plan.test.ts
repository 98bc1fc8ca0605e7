import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkGranularity, chunkLength, countAdmissible, PromptBudget, type SchedulerLimits } from '../../src/scheduler/plan.ts';

const limits: SchedulerLimits = { maxBatchSize: 8, stepTokenBudget: 256, maxChunk: 512, continuous: true };

describe('chunkLength', () => {
  it('cuts every prompt at multiples of the granule, into pieces that are not shorter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.array(fc.integer({ min: chunkGranularity, max: 600 }), { minLength: 1, maxLength: 20 }),
        (length, steps) => {
          let computed = 0;
          for (let step = 0; computed < length; step += 1) {
            const chunk = chunkLength(length - computed, steps[step % steps.length] as number);
            expect(computed % chunkGranularity).toBe(0);
            expect(chunk).toBeGreaterThanOrEqual(Math.min(chunkGranularity, length));
            expect(chunk).toBeLessThan((steps[step % steps.length] as number) + chunkGranularity);
            computed += chunk;
          }
          expect(computed).toBe(length);
        },
      ),
    );
  });

  it('waits when less than a granule is left of the limit', () => {
    expect(chunkLength(100, chunkGranularity - 1)).toBe(0);
    expect(chunkLength(30, chunkGranularity - 1)).toBe(30);
  });
});

describe('countAdmissible', () => {
  it('fills the batch', () => {
    expect(countAdmissible(5, 5, limits)).toBe(3);
    expect(countAdmissible(8, 5, limits)).toBe(0);
  });

  it('lets a static batch run to its end before the next one', () => {
    const fixed = { ...limits, continuous: false };
    expect(countAdmissible(1, 1, fixed)).toBe(0);
    expect(countAdmissible(3, 4, fixed), 'one has ended in this step').toBe(0);
    expect(countAdmissible(0, 0, fixed)).toBe(8);
    expect(countAdmissible(3, 0, fixed)).toBe(5);
  });
});

describe('PromptBudget', () => {
  const prompt = (promptLength: number, computed = 0) => ({ promptLength, computed });

  it('does not cut a prompt into small pieces when nothing decodes', () => {
    expect(new PromptBudget(0, limits).take(prompt(500))).toBe(500);
  });

  it('keeps prompts within what decodes leave', () => {
    const budget = new PromptBudget(6, limits);
    expect(budget.take(prompt(1000))).toBe(192);
    expect(budget.take(prompt(1000))).toBe(0);
  });

  it('moves the first prompt even when decodes alone spend the budget', () => {
    const budget = new PromptBudget(6, { ...limits, stepTokenBudget: 64 });
    expect(budget.take(prompt(1000))).toBe(64);
    expect(budget.hasRoom).toBe(false);
    expect(budget.take(prompt(50))).toBe(0);
  });

  it('takes no rest along beyond the limit: it is read in company', () => {
    const budget = new PromptBudget(156, limits);
    expect(budget.take(prompt(126))).toBe(64);
    expect(new PromptBudget(156, limits).take(prompt(126, 64))).toBe(62);
  });

  it('counts the company of a piece that is short because the rest was in the cache', () => {
    const budget = new PromptBudget(8, limits);
    const pieces = Array.from({ length: 9 }, () => budget.take(prompt(641, 640)));
    expect(pieces).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0]);
  });

  it('never spends more than the budget, or one granule, and always moves something', () => {
    const progress = fc
      .tuple(fc.integer({ min: 1, max: 3000 }), fc.nat(40))
      .map(([length, blocks]) => prompt(length, Math.min(length - 1, blocks * chunkGranularity)));
    fc.assert(
      fc.property(
        fc.array(progress, { minLength: 1, maxLength: 10 }),
        fc.nat({ max: 8 }),
        fc.integer({ min: 64, max: 512 }),
        (prompts, decodingCount, stepTokenBudget) => {
          const budget = new PromptBudget(decodingCount, { ...limits, stepTokenBudget });
          const spent = prompts.reduce((sum, next) => sum + budget.take(next), 0);
          const bound = decodingCount === 0 ? Math.max(limits.maxChunk, stepTokenBudget) : stepTokenBudget;
          expect(spent).toBeLessThanOrEqual(Math.max(bound, chunkGranularity));
          expect(spent).toBeGreaterThan(0);
        },
      ),
    );
  });

  it('keeps every other sequence waiting for one chunk at most while a long prompt is read', () => {
    const long = { promptLength: 4000, computed: 0 };
    let steps = 0;
    for (; long.computed < long.promptLength; steps += 1) {
      const piece = new PromptBudget(1, limits).take(long);
      expect(piece).toBeGreaterThan(0);
      expect(piece).toBeLessThanOrEqual(limits.stepTokenBudget);
      long.computed += piece;
    }
    expect(steps).toBe(Math.ceil(4000 / 192));
  });
});
