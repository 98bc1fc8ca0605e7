import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LanePasses, type LanePlan } from '../../src/encoder/lane-passes.ts';

const passTokens = 64;
const many = (length: number) => [new Array<number>(100).fill(length)];
const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

describe('the passes of two lanes', () => {
  it('are of real time alone while it has some waiting, and of the batch lane between', () => {
    const passes = new LanePasses({ passTokens, batchShareMin: 0.1 });
    expect(passes.plan({ realtime: [[4], [8]], batch: many(4) }, 0)).toEqual({ realtime: [1, 1], batch: [0] });
    expect(passes.plan({ realtime: [], batch: many(4) }, 1)).toEqual({ realtime: [], batch: [4] });
  });

  it('are whole for the batch lane where nobody in real time has come lately', () => {
    const passes = new LanePasses({ passTokens, batchShareMin: 0.1 });
    expect(passes.plan({ realtime: [], batch: many(4) }, 0).batch).toEqual([16]);
    passes.plan({ realtime: [[4]], batch: many(4) }, 10);
    expect(passes.plan({ realtime: [], batch: many(4) }, 1010).batch).toEqual([4]);
    expect(passes.plan({ realtime: [], batch: many(4) }, 1011).batch).toEqual([16]);
  });

  it('have no share of the batch lane where it is none', () => {
    const passes = new LanePasses({ passTokens, batchShareMin: 0 });
    for (let pass = 0; pass < 50; pass += 1) expect(passes.plan({ realtime: many(4), batch: many(4) }, pass).batch).toEqual([0]);
  });

  it('give the batch lane its share beside any real time, and never more tokens than a pass has, or one text', () => {
    const length = fc.integer({ min: 1, max: passTokens });
    fc.assert(
      fc.property(length, length, fc.double({ min: 0.05, max: 0.95, noNaN: true }), (realtimeLength, batchLength, batchShareMin) => {
        const passes = new LanePasses({ passTokens, batchShareMin });
        const tokens = { realtime: 0, batch: 0 };
        for (let pass = 0; pass < 600; pass += 1) {
          const { realtime, batch }: LanePlan = passes.plan({ realtime: many(realtimeLength), batch: many(batchLength) }, pass);
          expect(sum(realtime) + sum(batch)).toBeGreaterThan(0);
          expect(sum(realtime) * realtimeLength + sum(batch) * batchLength).toBeLessThanOrEqual(passTokens);
          tokens.realtime += sum(realtime) * realtimeLength;
          tokens.batch += sum(batch) * batchLength;
        }
        const share = tokens.batch / (tokens.realtime + tokens.batch);
        // Of a pass, whole texts fill no more; real time has the rest.
        const fill = (Math.floor(passTokens / batchLength) * batchLength) / passTokens;
        expect(share).toBeGreaterThan(Math.min(batchShareMin, fill) - 0.02);
        expect(tokens.realtime).toBeGreaterThan(0);
        expect(share).toBeLessThan(batchShareMin + 0.02);
      }),
      { examples: [[1, 15, 0.83875]] },
    );
  });

  it('owe the batch lane nothing for a time in which it wanted nothing', () => {
    const passes = new LanePasses({ passTokens, batchShareMin: 0.5 });
    for (let pass = 0; pass < 50; pass += 1) passes.plan({ realtime: many(4), batch: [] }, pass);
    expect(passes.plan({ realtime: many(4), batch: many(4) }, 50).batch).toEqual([0]);
  });
});
