/** A child process that asks over and over on plain sockets. */
import type { Socket } from 'node:net';
import { encode, open } from './plain-request.ts';
import { ResponseEnd } from './response-end.ts';
import type { RequestAnswer, RequestCount, RequestTask } from './request-client.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (task: RequestTask) => {
  process.send?.(await run(task).catch((error: Error): RequestAnswer => ({ error: error.message })));
});

/**
 * Connections are there before the time begins. None is kept for the next task: a server closes those that are silent, and may be about to.
 */
async function run({ url, body, connections, durationMs }: RequestTask): Promise<RequestCount> {
  const request = encode(body);
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(url)));
  const begin = performance.now();
  const counts = await Promise.all(sockets.map((socket) => ask(socket, request, begin + durationMs)));
  return { requests: counts.reduce((sum, count) => sum + count, 0), elapsedMs: performance.now() - begin };
}

/** Asks again after each answer until the time is over, then ends the connection; resolves with the number of answers. */
function ask(socket: Socket, request: Buffer, untilMs: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const response = new ResponseEnd();
  let count = 0;
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the server closed a connection')));
  socket.on('data', (chunk: Buffer) => {
    try {
      if (!response.push(chunk)) return;
    } catch (error) {
      return reject(error as Error);
    }
    count += 1;
    if (performance.now() < untilMs) socket.write(request);
    else resolve(count);
  });
  socket.write(request);
  return promise.finally(() => socket.destroy());
}
