import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DelayAccount } from '../../src/stats/delay-account.ts';

const lone = { sequences: 1, missingCoresMs: 0, isTypical: true };
const many = { sequences: 8, missingCoresMs: 0, isTypical: true };

describe('DelayAccount', () => {
  it('tells a sequence what others took of its time', () => {
    const pauses = { missingCoresMs: 0, gcMs: 0 };
    const account = new DelayAccount(() => ({ ...pauses }));
    account.onDecode({ ...lone, milliseconds: 2 });
    const start = account.mark();
    account.onPrompt(30);
    account.onDecode({ ...many, milliseconds: 5 });
    account.onDecode({ ...many, milliseconds: 9, missingCoresMs: 4 });
    Object.assign(pauses, { missingCoresMs: 4, gcMs: 3 });
    expect(account.duringDecode(start)).toEqual({ promptsMs: 30, sharingMs: 6, coresMs: 4, gcMs: 3 });
    expect(account.duringPrompt(start, 20)).toEqual({ promptsMs: 10, sharingMs: 14, coresMs: 4, gcMs: 3 });
    expect(account.duringDecode(account.mark())).toEqual({ promptsMs: 0, sharingMs: 0, coresMs: 0, gcMs: 0 });
  });

  it('knows nothing of sharing before a sequence was alone, and learns it from steps of the usual kind', () => {
    const account = new DelayAccount(() => ({ missingCoresMs: 0, gcMs: 0 }));
    const start = account.mark();
    account.onDecode({ ...lone, milliseconds: 500, isTypical: false });
    account.onDecode({ ...many, milliseconds: 5 });
    expect(account.duringDecode(start).sharingMs).toBe(0);
    account.onDecode({ ...lone, milliseconds: 2 });
    account.onDecode({ ...many, milliseconds: 5 });
    expect(account.duringDecode(start).sharingMs).toBe(3);
  });

  it('never tells of less than nothing, nor of more than there was', () => {
    const ms = fc.double({ min: 0, max: 1000, noNaN: true });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('prompt' as const), milliseconds: ms }),
      fc.record({ kind: fc.constant('decode' as const), sequences: fc.integer({ min: 1, max: 16 }), milliseconds: ms, missingCoresMs: fc.double({ min: -10, max: 1000, noNaN: true }), isTypical: fc.boolean() }),
    );
    fc.assert(fc.property(fc.array(step), (steps) => {
      let missingCoresMs = 0;
      const account = new DelayAccount(() => ({ missingCoresMs, gcMs: 0 }));
      const start = account.mark();
      let totalMs = 0;
      for (const each of steps) {
        totalMs += each.milliseconds;
        if (each.kind === 'prompt') account.onPrompt(each.milliseconds);
        else {
          missingCoresMs += each.missingCoresMs;
          account.onDecode(each);
        }
      }
      for (const delays of [account.duringDecode(start), account.duringPrompt(start, 0)]) {
        expect(Math.min(...Object.values(delays))).toBeGreaterThanOrEqual(0);
        expect(delays.promptsMs + delays.sharingMs).toBeLessThanOrEqual(totalMs + 1e-6);
      }
    }));
  });
});
