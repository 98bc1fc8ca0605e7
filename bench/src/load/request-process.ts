/** A child process that asks over and over on plain sockets. */
import type { Socket } from 'node:net';
import { encode, open } from './plain-request.ts';
import { ResponseEnd } from './response-end.ts';
import type { RequestAnswer, RequestCount, RequestTask } from './request-client.ts';

interface Pool {
  readonly sockets: readonly Socket[];
  readonly usedAtMs: number;
}

/** Node's servers close a connection that was silent for 5 s; one that is about to be closed must not be asked. */
const idleMsMax = 2000;
const pools = new Map<string, Pool>();

process.on('disconnect', () => process.exit(0));
process.on('message', async (task: RequestTask) => {
  process.send?.(await run(task).catch((error: Error): RequestAnswer => ({ error: error.message })));
});

/** Connections are kept from one task to the next, if that comes soon. */
async function run({ url, body, connections, durationMs }: RequestTask): Promise<RequestCount> {
  const request = encode(body);
  const sockets = await take(url, connections);
  const begin = performance.now();
  const counts = await Promise.all(sockets.map((socket) => ask(socket, request, begin + durationMs)));
  pools.set(url, { sockets, usedAtMs: performance.now() });
  return { requests: counts.reduce((sum, count) => sum + count, 0), elapsedMs: performance.now() - begin };
}

async function take(url: string, connections: number): Promise<readonly Socket[]> {
  const kept = pools.get(url);
  pools.delete(url);
  if (kept && kept.sockets.length === connections && performance.now() - kept.usedAtMs < idleMsMax && kept.sockets.every((socket) => !socket.destroyed)) return kept.sockets;
  for (const socket of kept?.sockets ?? []) socket.destroy();
  return Promise.all(Array.from({ length: connections }, () => open(url)));
}

/** Asks again after each answer until the time is over; resolves with the number of answers. */
function ask(socket: Socket, request: Buffer, untilMs: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const response = new ResponseEnd();
  let count = 0;
  const settle = (end: () => void) => {
    socket.off('data', onData);
    socket.off('close', onClose);
    end();
  };
  const onData = (chunk: Buffer) => {
    try {
      if (!response.push(chunk)) return;
    } catch (error) {
      return settle(() => reject(error as Error));
    }
    count += 1;
    if (performance.now() < untilMs) socket.write(request);
    else settle(() => resolve(count));
  };
  const onClose = () => settle(() => reject(new Error('the server closed a connection')));
  socket.on('data', onData);
  socket.on('close', onClose);
  socket.write(request);
  return promise;
}
