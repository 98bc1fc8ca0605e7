import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startRequestClient } from '../../src/load/request-client.ts';

async function setUp(answer: (count: number) => number) {
  const closed: Promise<unknown>[] = [];
  let count = 0;
  const server = createServer(
    (request, response) => void request.resume().once('end', () => response.writeHead(answer((count += 1))).end('{}')),
  );
  server.on('connection', (socket: Socket) => closed.push(once(socket, 'close')));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = startRequestClient();
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  const task = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, body: {}, connections: 2, durationMs: 1 };
  return { client, task, closed, answered: () => count };
}

test('counts the answers, and ends its connections with each task', async () => {
  const { client, task, closed, answered } = await setUp(() => 200);

  const first = await client.run(task);
  await Promise.all(closed);
  const second = await client.run(task);
  await Promise.all(closed);

  expect(closed).toHaveLength(4);
  expect(first.requests).toBeGreaterThanOrEqual(2);
  expect(first.requests + second.requests).toBe(answered());
});

test('fails with an answer that is none', async () => {
  const { client, task } = await setUp((count) => (count === 1 ? 200 : 503));

  await expect(client.run(task)).rejects.toThrow('503');
});
