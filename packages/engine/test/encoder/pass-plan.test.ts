import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planPass } from '../../src/encoder/pass-plan.ts';

const waiting = fc.array(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 12 });

describe('a pass of embeddings', () => {
  it('takes from each request in turn', () => {
    expect(planPass([[10, 10, 10, 10, 10], [10], [10, 10]], 60)).toEqual([3, 1, 2]);
  });

  it('takes a first text of any length, and nothing beside one that fills it', () => {
    expect(planPass([[900], [1]], 512)).toEqual([1, 0]);
    expect(planPass([[512], [1]], 512)).toEqual([1, 0]);
  });

  it('lets a shorter text go where a longer one has no room', () => {
    expect(planPass([[8, 500], [400], [4]], 32)).toEqual([1, 0, 1]);
  });

  it('keeps within its room, takes something, and leaves nothing that would fit', () => {
    fc.assert(
      fc.property(waiting, fc.integer({ min: 1, max: 512 }), (texts, room) => {
        const taken = planPass(texts, room);
        const tokens = texts.flatMap((lengths, index) => lengths.slice(0, taken[index])).reduce((sum, length) => sum + length, 0);
        const count = taken.reduce((sum, number) => sum + number, 0);
        expect(count).toBeGreaterThan(0);
        expect(tokens <= room || count === 1).toBe(true);
        for (const [index, lengths] of texts.entries()) {
          const next = lengths[taken[index] as number];
          if (next !== undefined) expect(next).toBeGreaterThan(room - tokens);
        }
      }),
    );
  });

  it('gives no request two texts more than another that could have had one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 8, max: 100 }), (requests, room) => {
        const taken = planPass(
          Array.from({ length: requests }, () => new Array<number>(50).fill(4)),
          room,
        );
        expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
