import type { EmitEvent, GatewayEvent } from '@open-autoglm/protocol';
import type { RequestStart } from '../common/request-start.ts';

/** Follows one request. `atMs` is `performance.now()` at the event, read once for all observers. */
export interface RequestObserver {
  on(event: GatewayEvent, atMs: number): void;
}

/** Subscribes to requests; undefined: not to this one. An observer must not throw and must not wait. */
export interface Observer {
  begin(start: RequestStart): RequestObserver | undefined;
}

/** The `emit` of one request: every event, stamped, to every observer that follows it. */
export function toEmit(following: readonly RequestObserver[], now: () => number): EmitEvent {
  return (event) => {
    const atMs = now();
    for (const observer of following) observer.on(event, atMs);
  };
}
