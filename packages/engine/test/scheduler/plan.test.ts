import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkGranularity, chunkLength, planStep, type SchedulerLimits } from '../../src/scheduler/plan.ts';

const limits: SchedulerLimits = { maxBatchSize: 8, stepTokenBudget: 256, maxChunk: 512, continuous: true };

describe('chunkLength', () => {
  it('cuts every prompt at multiples of the granule, into pieces that are not shorter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.array(fc.integer({ min: chunkGranularity, max: 600 }), { minLength: 1, maxLength: 20 }), (length, steps) => {
        let computed = 0;
        for (let step = 0; computed < length; step += 1) {
          const chunk = chunkLength(length - computed, steps[step % steps.length] as number);
          expect(computed % chunkGranularity).toBe(0);
          expect(chunk).toBeGreaterThanOrEqual(Math.min(chunkGranularity, length));
          expect(chunk).toBeLessThan((steps[step % steps.length] as number) + chunkGranularity);
          computed += chunk;
        }
        expect(computed).toBe(length);
      }),
    );
  });

  it('waits when less than a granule is left of the limit', () => {
    expect(chunkLength(100, chunkGranularity - 1)).toBe(0);
    expect(chunkLength(30, chunkGranularity - 1)).toBe(30);
  });
});

describe('planStep', () => {
  const prompt = (promptLength: number, computed = 0) => ({ promptLength, computed });

  it('does not cut a prompt into small pieces when nothing decodes', () => {
    const plan = planStep({ waiting: [prompt(500)], prefilling: [], decodingCount: 0 }, limits);
    expect(plan).toEqual({ admitted: 1, chunks: [500] });
  });

  it('keeps prompts within the budget that decodes leave', () => {
    const plan = planStep({ waiting: [prompt(1000), prompt(1000)], prefilling: [], decodingCount: 6 }, limits);
    expect(plan).toEqual({ admitted: 2, chunks: [192, 0] });
  });

  it('moves the first prompt even when decodes alone spend the budget', () => {
    const plan = planStep({ waiting: [], prefilling: [prompt(1000), prompt(50)], decodingCount: 6 }, { ...limits, stepTokenBudget: 64 });
    expect(plan.chunks).toEqual([64, 0]);
  });

  it('admits first come first, up to the batch size', () => {
    const plan = planStep({ waiting: Array.from({ length: 9 }, () => prompt(10)), prefilling: [prompt(10)], decodingCount: 4 }, limits);
    expect(plan.admitted).toBe(3);
  });

  it('lets a static batch run to its end before the next one', () => {
    const fixed = { ...limits, continuous: false };
    expect(planStep({ waiting: [prompt(5)], prefilling: [], decodingCount: 1 }, fixed).admitted).toBe(0);
    expect(planStep({ waiting: [prompt(5)], prefilling: [prompt(9, 3)], decodingCount: 0 }, fixed).admitted).toBe(0);
    expect(planStep({ waiting: [prompt(5), prompt(5)], prefilling: [], decodingCount: 0 }, fixed).admitted).toBe(2);
  });

  it('never spends more than the budget and one granule, and always moves something', () => {
    const progress = fc.record({ promptLength: fc.integer({ min: 1, max: 3000 }) }).map(({ promptLength }) => prompt(promptLength));
    fc.assert(
      fc.property(fc.array(progress, { maxLength: 10 }), fc.nat({ max: 8 }), fc.integer({ min: 64, max: 512 }), (waiting, decodingCount, stepTokenBudget) => {
        const plan = planStep({ waiting, prefilling: [], decodingCount }, { ...limits, stepTokenBudget });
        const spent = plan.chunks.reduce((sum, chunk) => sum + chunk, 0);
        const bound = decodingCount === 0 ? Math.max(limits.maxChunk, stepTokenBudget) : stepTokenBudget;
        expect(spent).toBeLessThan(Math.max(bound, chunkGranularity) + chunkGranularity);
        if (plan.admitted > 0) expect(spent).toBeGreaterThan(0);
      }),
    );
  });
});
