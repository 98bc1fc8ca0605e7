import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStepMeters } from '../../src/common/steps/step-meter.ts';
import { WorkStep, type WorkResult } from '../../src/common/steps/work-step.ts';

interface Batch {
  readonly items: readonly number[];
  finish(results?: readonly WorkResult<number>[]): void;
  fail(error: Error): void;
}

function setUp(slots: number, waitingMax: number, batchMax: number) {
  const batches: Batch[] = [];
  const meters = createStepMeters();
  const step = new WorkStep<number, number>({
    slots,
    waitingMax,
    meters,
    what: 'numbers',
    batchSize: (waiting) => Math.min(batchMax, waiting.length),
    work: (items) =>
      new Promise((resolve, reject) => {
        batches.push({ items, finish: (results = items.map((value) => ({ value, bytes: 1 }))) => resolve(results), fail: reject });
      }),
  });
  return { step, batches, meters };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

describe('WorkStep', () => {
  it('takes what waits together, and refuses what finds no place', async () => {
    const { step, batches, meters } = setUp(1, 3, 2);
    const results = [1, 2, 3, 4].map((item) => step.run(item, never));
    await expect(step.run(5, never)).rejects.toMatchObject({ code: 'queue_full' });
    expect(batches.map(({ items }) => items)).toEqual([[1]]);
    batches[0]?.finish();
    await turn();
    expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3]]);
    batches[1]?.fail(new Error('thread ended'));
    await expect(results[1]).rejects.toThrow('thread ended');
    await expect(results[2]).rejects.toThrow('thread ended');
    await turn();
    batches[2]?.finish([{ error: new Error('bad item') }]);
    expect(await results[0]).toBe(1);
    await expect(results[3]).rejects.toThrow('bad item');
    expect(meters.buffer.read()).toMatchObject({ depth: 0, ended: { done: 4, refused: 1 } });
    expect(meters.preprocess.read()).toMatchObject({ depth: 0, ended: { done: 1, failed: 3 }, bytes: 1 });
  });

  it('keeps its bounds, its order and its promises whatever comes, ends, fails or leaves', async () => {
    const action = fc.oneof(
      fc.record({ type: fc.constant('run' as const) }),
      fc.record({ type: fc.constant('end' as const), fails: fc.boolean() }),
      fc.record({ type: fc.constant('leave' as const), which: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(action, { maxLength: 40 }),
        async (slots, waitingMax, batchMax, actions) => {
          const { step, batches, meters } = setUp(slots, waitingMax, batchMax);
          const open: Batch[] = [];
          const asked: { readonly abort: AbortController; settled: string | undefined }[] = [];
          let seen = 0;
          const observe = () => {
            open.push(...batches.slice(seen));
            seen = batches.length;
            expect(open.length).toBeLessThanOrEqual(slots);
            expect(step.waiting).toBeLessThanOrEqual(waitingMax);
            expect(step.waiting === 0 || open.length === slots).toBe(true);
          };
          for (const each of actions) {
            if (each.type === 'run') {
              const entry: (typeof asked)[number] = { abort: new AbortController(), settled: undefined };
              const item = asked.push(entry) - 1;
              step.run(item, entry.abort.signal).then(
                (value) => (entry.settled = value === item ? 'done' : 'wrong'),
                (error: { code?: string; message: string }) => (entry.settled = error.code ?? error.message),
              );
            } else if (each.type === 'end') {
              const batch = open.shift();
              if (each.fails) batch?.fail(new Error('failed'));
              else batch?.finish();
            } else asked[each.which % Math.max(1, asked.length)]?.abort.abort(new Error('left'));
            await turn();
            observe();
          }
          while (open.length > 0) {
            open.shift()?.finish();
            await turn();
            observe();
          }
          expect(asked.filter(({ settled }) => settled === undefined || settled === 'wrong')).toEqual([]);
          const started = batches.flatMap(({ items }) => items);
          expect(started).toEqual([...started].sort((a, b) => a - b));
          expect([meters.buffer.read().depth, meters.preprocess.read().depth]).toEqual([0, 0]);
        },
      ),
      { numRuns: 100 },
    );
  });
});
