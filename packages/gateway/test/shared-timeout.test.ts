import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SharedTimeout } from '../src/ingress/shared-timeout.ts';

afterEach(() => void vi.useRealTimers());

describe('SharedTimeout', () => {
  it('tells whoever did not leave in time, once, when the limit has passed and no more than a sixteenth of it later', () => {
    const comings = fc.array(fc.record({ waitsMs: fc.nat(2000), staysMs: fc.option(fc.nat(3000), { nil: undefined }) }), { maxLength: 30 });
    fc.assert(
      fc.property(comings, (all) => {
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
        const timeout = new SharedTimeout(1600);
        const late = new Map<number, number>();
        const due: { readonly enteredAtMs: number; readonly staysMs: number }[] = [];
        for (const [index, { waitsMs, staysMs = Infinity }] of all.entries()) {
          vi.advanceTimersByTime(waitsMs);
          const onLate = () => {
            expect(late.has(index)).toBe(false);
            late.set(index, performance.now());
          };
          timeout.enter(onLate);
          if (staysMs < Infinity) setTimeout(() => timeout.leave(onLate), staysMs);
          due.push({ enteredAtMs: performance.now(), staysMs });
        }
        vi.advanceTimersByTime(10_000);
        for (const [index, { enteredAtMs, staysMs }] of due.entries()) {
          const afterMs = (late.get(index) ?? NaN) - enteredAtMs;
          if (staysMs < 1600) expect(afterMs).toBeNaN();
          else if (staysMs > 1700) expect(afterMs >= 1600 && afterMs <= 1700, `${afterMs} ms`).toBe(true);
        }
        expect(vi.getTimerCount(), 'nothing is waited for').toBe(0);
        vi.useRealTimers();
      }),
    );
  });
});
