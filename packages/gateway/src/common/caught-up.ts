import type { ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';

/** A reader that takes nothing for this long has gone, whatever its connection says. */
const stallTimeoutMs = 60_000;

/** What is left of a response that has ended goes to a client that reads it; the connection of one that does not is cut. */
export function cutWhenStalled(response: ServerResponse): void {
  response.setTimeout(stallTimeoutMs, () => void response.destroy());
}

/** Resolves when the client of a full response has caught up. Rejects with the signal's reason, or when the client has stalled. */
export function caughtUp(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      signal.removeEventListener('abort', onAbort);
      end();
    };
    const onDrain = () => settle(resolve);
    const onAbort = () => settle(() => reject(signal.reason as Error));
    const onStall = () =>
      settle(() => reject(new AutoglmError('client_closed_request', `The client read nothing for ${stallTimeoutMs} ms.`)));
    const timer = setTimeout(onStall, stallTimeoutMs);
    response.once('drain', onDrain);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
