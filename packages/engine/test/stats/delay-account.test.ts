import type { EngineDelays } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DelayAccount, SequenceDelays, type DecodeStep } from '../../src/stats/delay-account.ts';

const lone = { sequences: 1, queries: 1, missingCoresMs: 0, isTypical: true };
const many = { ...lone, sequences: 8 };

/** An account, and a sequence that has a place and reads its prompt. */
function open() {
  const pauses = { missingCoresMs: 0, gcMs: 0 };
  const account = new DelayAccount(() => ({ ...pauses }));
  const sequence = new SequenceDelays(account);
  sequence.begin();
  const take = (step: DecodeStep) => sequence.onDecode(step.milliseconds, account.onDecode(step));
  return { pauses, account, sequence, take };
}

describe('the account of delays', () => {
  it('tells a sequence what others took of its time', () => {
    const { pauses, account, sequence, take } = open();
    account.onPrompt(30);
    sequence.onPrompt(20);
    account.onDecode({ ...lone, milliseconds: 2 });
    account.onDecode({ ...many, milliseconds: 5 });
    expect(sequence.takePrompt()).toEqual({ promptsMs: 10, sharingMs: 7, coresMs: 0, gcMs: 0 });
    account.onPrompt(30);
    take({ ...many, milliseconds: 5 });
    take({ ...many, milliseconds: 9, missingCoresMs: 4 });
    Object.assign(pauses, { missingCoresMs: 4, gcMs: 3 });
    expect(sequence.takeDecode()).toEqual({ promptsMs: 30, sharingMs: 6, coresMs: 4, gcMs: 3 });
  });

  it('counts a step that the sequence sat out as a whole, and what others shared in it not once more', () => {
    const { account, sequence, take } = open();
    sequence.takePrompt();
    take({ ...lone, milliseconds: 2 });
    for (let step = 0; step < 9; step += 1) account.onDecode({ ...lone, milliseconds: 2 });
    account.onDecode({ ...many, milliseconds: 5 });
    take({ ...many, milliseconds: 3 });
    expect(sequence.takeDecode()?.sharingMs).toBe(18 + 5 + 1);
  });

  it('takes what drafts cost for nobody’s sharing, nor for what a lone step needs', () => {
    const { sequence, take } = open();
    sequence.takePrompt();
    take({ ...lone, milliseconds: 2 });
    take({ ...many, queries: 4, milliseconds: 9 });
    take({ ...lone, queries: 4, milliseconds: 200 });
    take({ ...many, milliseconds: 5 });
    expect(sequence.takeDecode()?.sharingMs).toBe(3);
  });

  it('knows nothing of sharing before a sequence was alone, and learns it from steps of the usual kind', () => {
    const { sequence, take } = open();
    sequence.takePrompt();
    take({ ...lone, milliseconds: 500, isTypical: false });
    take({ ...many, milliseconds: 5 });
    expect(sequence.takeDecode()?.sharingMs).toBe(0);
    take({ ...lone, milliseconds: 2 });
    take({ ...many, milliseconds: 5 });
    expect(sequence.takeDecode()?.sharingMs).toBe(3);
  });

  it('never tells of less than nothing, nor of more than there was', () => {
    const ms = fc.double({ min: 0, max: 1000, noNaN: true });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('prompt' as const), milliseconds: ms }),
      fc.record({
        kind: fc.constant('decode' as const),
        isOwn: fc.boolean(),
        sequences: fc.integer({ min: 1, max: 16 }),
        queries: fc.integer({ min: 1, max: 4 }),
        milliseconds: ms,
        missingCoresMs: fc.double({ min: -10, max: 1000, noNaN: true }),
        isTypical: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let missingCoresMs = 0;
        const account = new DelayAccount(() => ({ missingCoresMs, gcMs: 0 }));
        const sequence = new SequenceDelays(account);
        sequence.takePrompt();
        let totalMs = 0;
        for (const each of steps) {
          totalMs += each.milliseconds;
          if (each.kind === 'prompt') account.onPrompt(each.milliseconds);
          else {
            missingCoresMs += each.missingCoresMs;
            const sharedMs = account.onDecode(each);
            if (each.isOwn) sequence.onDecode(each.milliseconds, sharedMs);
          }
        }
        const delays = sequence.takeDecode() as EngineDelays;
        expect(Math.min(...Object.values(delays))).toBeGreaterThanOrEqual(0);
        expect(delays.promptsMs + delays.sharingMs).toBeLessThanOrEqual(totalMs + 1e-6);
      }),
    );
  });
});
