import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Observer } from '../../src/observability/observer.ts';
import { anyEnd, anyRequest, start } from './events.ts';

/**
 * What every observer must do: take whatever events a request states, in any order and number, without throwing, without
 * keeping anybody waiting, and without changing them. `make` opens a fresh one.
 */
export function observerContract(name: string, make: () => Observer): void {
  describe(`${name} keeps the observer contract`, () => {
    it('takes the events of any request, and never waits', () => {
      const observer = make();
      fc.assert(
        fc.property(anyRequest, (events) => {
          const following = observer.begin({ ...start });
          for (const [index, event] of events.entries())
            expect(following?.on(Object.freeze(event), start.startedAtMs + index)).toBeUndefined();
        }),
      );
    });

    it('takes requests that run side by side', () => {
      const observer = make();
      fc.assert(
        fc.property(fc.array(anyRequest, { maxLength: 5 }), (requests) => {
          const following = requests.map((_, index) => observer.begin({ ...start, requestId: `r-${index}` }));
          const length = Math.max(0, ...requests.map((events) => events.length));
          for (let step = 0; step < length; step += 1) {
            for (const [index, events] of requests.entries())
              if (events[step]) following[index]?.on(events[step] as (typeof events)[number], start.startedAtMs + step);
          }
        }),
      );
    });

    it('takes a request that is over at once, and a clock that stands still', () => {
      const observer = make();
      fc.assert(fc.property(anyEnd, (end) => observer.begin({ ...start })?.on(end, start.startedAtMs)));
    });

    it('takes whatever a client sends as trace context', () => {
      const observer = make();
      fc.assert(
        fc.property(
          fc.option(fc.string(), { nil: undefined }),
          fc.option(fc.string(), { nil: undefined }),
          anyEnd,
          (traceparent, tracestate, end) => {
            observer.begin({ ...start, traceparent, tracestate })?.on(end, start.startedAtMs + 1);
          },
        ),
      );
    });
  });
}
