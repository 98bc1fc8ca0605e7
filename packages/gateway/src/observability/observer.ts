import type { GatewayEvent, TraceContext } from '@open-autoglm/protocol';
import type { RequestStart } from '../common/request-start.ts';

/** Follows one request. `atMs` is `performance.now()` at the event, read once for all observers. */
export interface RequestObserver {
  /** For what is asked of others on this request's behalf; only an observer that traces has one. */
  readonly traceContext?: TraceContext | undefined;
  on(event: GatewayEvent, atMs: number): void;
}

/**
 * Subscribes to requests; undefined: not to this one. An observer must not wait. It should not throw; one that does loses
 * this request, is counted, and costs the request nothing. Every observer runs the contract in `test/observability/`.
 */
export interface Observer {
  begin(start: RequestStart): RequestObserver | undefined;
  /** For what is asked of others on behalf of a request that it does not follow; asked only when something is. */
  unfollowedContext?(start: RequestStart): TraceContext | undefined;
}

/** Called with what an observer threw. */
export type OnObserverFailure = (error: unknown) => void;

/** Begins with every observer that wants the request. */
export function beginAll(observers: readonly Observer[], start: RequestStart, onFailure: OnObserverFailure): RequestObserver[] {
  const following: RequestObserver[] = [];
  for (const observer of observers) {
    try {
      const begun = observer.begin(start);
      if (begun) following.push(begun);
    } catch (error) {
      onFailure(error);
    }
  }
  return following;
}

/** Tells an event to all that follow; one that throws is told nothing more of this request. */
export function tell(following: RequestObserver[], event: GatewayEvent, atMs: number, onFailure: OnObserverFailure): void {
  for (let index = 0; index < following.length; index += 1) {
    try {
      following[index]?.on(event, atMs);
    } catch (error) {
      onFailure(error);
      following.splice(index, 1);
      index -= 1;
    }
  }
}
