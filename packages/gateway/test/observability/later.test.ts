import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { Later } from '../../src/observability/later.ts';

it('takes every item once and in order, none in the turn that brought it, whatever throws', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.boolean(), { maxLength: 12 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 8 }),
      async (turns, countMax) => {
        const [taken, failures]: [number[], unknown[]] = [[], []];
        const bad = new Set<number>();
        const later = new Later<number>(
          (item) => {
            taken.push(item);
            if (bad.has(item)) throw item;
          },
          { countMax, delayMs: 60_000, onFailure: (error) => failures.push(error) },
        );
        let count = 0;
        for (const turn of turns) {
          const before = taken.length;
          for (const isBad of turn) {
            if (isBad) bad.add(count);
            later.add(count++);
          }
          expect(taken).toHaveLength(before);
          await nextTurn();
          expect(count - taken.length).toBeLessThan(countMax);
        }
        later.flush();
        expect(taken).toEqual(Array.from({ length: count }, (_, index) => index));
        expect(failures).toEqual([...bad]);
      },
    ),
  );
});

it('takes what comes alone when its time is over', () => {
  vi.useFakeTimers();
  try {
    const taken: string[] = [];
    const later = new Later<string>((item) => taken.push(item), { countMax: 8, delayMs: 50, onFailure: () => {} });
    for (const item of ['a', 'b']) {
      later.add(item);
      vi.advanceTimersByTime(49);
      expect(taken).not.toContain(item);
      vi.advanceTimersByTime(1);
      expect(taken.at(-1)).toBe(item);
    }
  } finally {
    vi.useRealTimers();
  }
});

it('takes what comes after its end at once', () => {
  const taken: string[] = [];
  const later = new Later<string>((item) => taken.push(item), { countMax: 8, delayMs: 60_000, onFailure: () => {} });
  later.add('a');
  later.close();
  expect(taken).toEqual(['a']);
  later.add('b');
  expect(taken).toEqual(['a', 'b']);
});
