import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readJson } from '../src/ingress/body.ts';
import { InHand } from '../src/ingress/in-hand.ts';

/** A request whose client has left before anything of it was read. */
async function abandonedRequest(): Promise<{ readonly message: IncomingMessage; readonly response: ServerResponse }> {
  const server = createServer();
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const client = request({
    port: (server.address() as AddressInfo).port,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': 100 },
  });
  client.on('error', () => {});
  client.write('{');
  const [message, response] = await arrived;
  const closed = once(response, 'close');
  message.on('error', () => {});
  client.destroy();
  await closed;
  return { message, response };
}

test('A request whose client left before it was taken in hand holds up no shutdown', async () => {
  const inHand = new InHand(1);
  const { response } = await abandonedRequest();
  expect(() => inHand.takeFor(response)).toThrow(expect.objectContaining({ code: 'client_closed_request' }));
  await inHand.drain(60_000);
});

test('Reading the body of a client that has left ends', async () => {
  const { message } = await abandonedRequest();
  await expect(readJson(message, { limitBytes: 1000 }, new AbortController().signal)).rejects.toMatchObject({
    code: 'client_closed_request',
  });
});
