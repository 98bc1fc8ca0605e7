import type { GeneratePart } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BucketCounter } from '../../src/stats/bucket-counter.ts';
import { StepCounters } from '../../src/stats/step-counters.ts';

const text = (tokenCount: number): { part: GeneratePart } => ({ part: { type: 'text-delta', text: 'x', tokenCount } });

describe('BucketCounter', () => {
  it('counts every value once, in the lowest bucket whose bound it does not pass', () => {
    const bounds = fc.uniqueArray(fc.integer({ min: 0, max: 100 }), { minLength: 1 }).map((values) => values.sort((a, b) => a - b));
    fc.assert(
      fc.property(bounds, fc.array(fc.tuple(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 1, max: 4 }))), (limits, values) => {
        const counter = new BucketCounter(limits);
        for (const [value, times] of values) counter.add(value, times);
        let below = 0;
        for (const [index, bound] of limits.entries()) {
          below += counter.counts[index] as number;
          expect(below).toBe(values.reduce((sum, [value, times]) => sum + (value <= bound ? times : 0), 0));
        }
        expect(below + (counter.counts.at(-1) as number)).toBe(values.reduce((sum, [, times]) => sum + times, 0));
        expect(counter.sum).toBe(values.reduce((sum, [value, times]) => sum + value * times, 0));
      }),
    );
  });
});

describe('StepCounters', () => {
  it('counts tokens, batches, and the time between tokens once for each sequence that waited for it', () => {
    const counters = new StepCounters();
    counters.add({
      decodingCount: 0,
      promptCount: 1,
      outputs: [{ part: { type: 'prompt-end', promptTokens: 30, cachedTokens: 10, queueMs: 0, prefillMs: 1 } }, text(1)],
      endedAtMs: 1000,
    });
    counters.add({ decodingCount: 1, promptCount: 1, outputs: [text(1)], endedAtMs: 1007 });
    counters.add({ decodingCount: 2, promptCount: 0, outputs: [text(1), text(1), text(0)], endedAtMs: 1010 });
    const { batchSize, interTokenMs, ...tokens } = counters.snapshot();
    expect(tokens).toEqual({ promptTokens: 30, cachedTokens: 10, generatedTokens: 4 });
    expect(batchSize).toMatchObject({ counts: [1, 2, 0, 0, 0, 0, 0, 0, 0, 0], sum: 5 });
    expect(interTokenMs.sum).toBe(7 + 2 * 3);
    expect(interTokenMs.counts.reduce((sum, count) => sum + count, 0)).toBe(3);
  });

  it('lets tokens that a step brought together share its time', () => {
    const counters = new StepCounters();
    counters.add({ decodingCount: 2, promptCount: 0, outputs: [text(1), text(1)], endedAtMs: 100 });
    counters.add({ decodingCount: 2, promptCount: 0, outputs: [text(1), text(1), text(1), text(1)], endedAtMs: 108 });
    // Sequences that compute again what they had say nothing.
    counters.add({ decodingCount: 1, promptCount: 0, outputs: [], endedAtMs: 120 });
    const { interTokenMs } = counters.snapshot();
    expect(interTokenMs.sum).toBe(2 * 100 + 2 * 8);
    expect(interTokenMs.counts.reduce((sum, count) => sum + count, 0)).toBe(6);
  });

  it('does not change what it said', () => {
    const counters = new StepCounters();
    const before = counters.snapshot();
    counters.add({ decodingCount: 1, promptCount: 0, outputs: [text(1)], endedAtMs: 1 });
    expect(before).toMatchObject({ generatedTokens: 0, batchSize: { sum: 0 } });
    expect(before.batchSize.counts.every((count) => count === 0)).toBe(true);
  });

  it('counts nothing of a step in which nothing was done', () => {
    const counters = new StepCounters();
    counters.add({ decodingCount: 0, promptCount: 0, outputs: [], endedAtMs: 5 });
    expect(counters.snapshot().batchSize.counts.every((count) => count === 0)).toBe(true);
  });
});
