import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { chat, startSessionServer } from './sessions/support.ts';
import { portOf, until } from './support.ts';

/** More than the system buffers for a client that reads nothing. */
const content = 'x'.repeat(24 * 1024 * 1024);

it('A client that does not read what is not generated loses its connection', async () => {
  await using server = await startSessionServer({ session_bytes_max: 32 * 1024 * 1024 }, {}, { body_limit_bytes: 32 * 1024 * 1024 });
  const { path } = await server.create({ ...chat, messages: [{ role: 'user', content }] });
  // Time that a client has is not waited for, but said to be over.
  const stalls: (() => void)[] = [];
  using _ = vi.spyOn(ServerResponse.prototype, 'setTimeout').mockImplementation(function setTimeout(this: ServerResponse, _ms, callback) {
    if (callback) stalls.push(callback);
    return this;
  });
  const client = connect(portOf(server.url), '127.0.0.1').pause();
  client.write(`GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`);
  await until(() => stalls.length === 1);
  const closed = once(client, 'close');
  stalls[0]?.();
  // It learns of it when it reads on: what the system still had for it is not all of it.
  let received = 0;
  client
    .on('error', () => {})
    .on('data', ({ length }) => (received += length))
    .resume();
  await closed;
  expect(received).toBeLessThan(content.length);
});
