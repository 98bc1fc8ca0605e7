/**
 * A child process that opens HTTP streams on plain sockets and looks at as little of them as it can: it shares the cores with the server.
 */
import type { Socket } from 'node:net';
import { encode, open } from './plain-request.ts';
import { ResponseEnd } from './response-end.ts';
import { openStreamReader } from './stream-reader.ts';
import type { LoadAnswer, LoadTask, StreamResult } from './load-client.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (task: LoadTask) => {
  process.send?.(
    await run(task).then(
      (streams): LoadAnswer => ({ streams }),
      (error: Error): LoadAnswer => ({ error: error.message }),
    ),
  );
});

/** Connections are there before the time begins: clients keep theirs. */
async function run({ url, bodies }: LoadTask): Promise<StreamResult[]> {
  const requests = bodies.map(encode);
  const sockets = await Promise.all(requests.map(() => open(url)));
  const start = performance.now();
  return Promise.all(requests.map((request, index) => readStream(sockets[index] as Socket, request, start)));
}

async function readStream(socket: Socket, request: Buffer, start: number): Promise<StreamResult> {
  const reader = openStreamReader(() => performance.now() - start);
  const response = new ResponseEnd();
  const { promise, resolve, reject } = Promise.withResolvers<StreamResult>();
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the server closed a connection')));
  socket.on('data', (chunk: Buffer) => {
    try {
      const isOver = response.push(chunk);
      reader.push(chunk);
      if (isOver) resolve(reader.end());
    } catch (error) {
      reject(error as Error);
    }
  });
  socket.write(request);
  return promise.finally(() => socket.destroy());
}
