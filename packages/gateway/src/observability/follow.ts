import type { EmitEvent } from '@open-autoglm/protocol';
import type { AnswerTimings } from '../common/exchange.ts';
import type { RequestStart } from '../common/request-start.ts';
import { toEmit, type Observer } from './observer.ts';
import { ServerTiming } from './server-timing.ts';

/** A request under observation. */
export interface Followed {
  readonly emit: EmitEvent;
  readonly timings: AnswerTimings;
}

/** Begins to follow a request: its own timings, and every observer that wants it. */
export function follow(observers: readonly Observer[], start: RequestStart, now: () => number = () => performance.now()): Followed {
  const timings = new ServerTiming(start.startedAtMs, now);
  const following = observers.map((observer) => observer.begin(start)).filter((observer) => observer !== undefined);
  return { timings, emit: toEmit([timings, ...following], now) };
}
