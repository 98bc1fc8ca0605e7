import { buildConnector } from 'undici';

/**
 * A server that had closed says so within a way there and back; what takes longer may be work, which is the router's to have done again.
 */
const staleMsMax = 100;
/** The end of a connection, and what comes instead where the server closed it with the request unread. */
const closings: ReadonlySet<string | undefined> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

interface SocketFailure extends Error {
  readonly code?: string;
  socket?: { readonly bytesRead?: number } | null;
}

/** Errors of connections that were never made. */
const unconnected = new WeakSet<Error>();

/**
 * Connects as undici does by itself. Errors of its connections tell how much was read there, as undici's own do, and those of none are
 * known by `isUnconnected`.
 */
export function connector(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, allowH2: false });
  return (options, callback) =>
    connect(options, (...outcome) => {
      const [failure, socket] = outcome;
      if (failure) unconnected.add(failure);
      socket?.once('error', (error: SocketFailure) => (error.socket ??= { bytesRead: socket.bytesRead }));
      callback(...outcome);
    });
}

/**
 * Whether there was no connection, for whatever reason: an address that nobody has, a certificate that nobody trusts. Nobody has done any
 * work.
 */
export function isUnconnected(error: Error): boolean {
  return unconnected.has(error);
}

/**
 * A kept connection which the server had closed when it was used again: nothing has been done yet, and another will do. `sinceMs`:
 * after the request was sent; of its answer nothing has come. That a connection has served says nothing of this request, so only a
 * close at once is taken for it.
 */
export function isStaleConnection({ code, socket }: SocketFailure, sinceMs: number): boolean {
  return closings.has(code) && (socket?.bytesRead ?? 0) > 0 && sinceMs <= staleMsMax;
}
