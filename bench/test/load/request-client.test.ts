import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startRequestClient } from '../../src/load/request-client.ts';

test('asks on new connections where a server closed those of the task before', async () => {
  const open = new Set<Socket>();
  const server = createServer((request, response) => void request.resume().once('end', () => response.end('{}')));
  server.on('connection', (socket: Socket) => open.add(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = startRequestClient();
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  const task = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, body: {}, connections: 2, durationMs: 1 };

  await client.run(task);
  const closed = [...open].map((socket) => once(socket, 'close'));
  server.closeAllConnections();
  await Promise.all(closed);
  const { requests } = await client.run(task);

  expect(closed).toHaveLength(2);
  expect(requests).toBeGreaterThanOrEqual(2);
  expect(open.size).toBe(4);
});
