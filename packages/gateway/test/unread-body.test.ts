import { connect, type Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { portOf, startTestServer, until } from './support.ts';

interface Connection extends Disposable {
  readonly socket: Socket;
  readonly received: () => string;
  readonly closed: Promise<void>;
}

function open(url: string): Connection {
  let text = '';
  const socket = connect(portOf(url), '127.0.0.1')
    .on('error', () => {})
    .on('data', (bytes) => (text += String(bytes)));
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  return { socket, closed, received: () => text, [Symbol.dispose]: () => void socket.destroy() };
}

const head = (path: string, ...headers: readonly string[]) =>
  [`POST ${path} HTTP/1.1`, 'host: test', 'content-type: application/json', ...headers, '', ''].join('\r\n');

describe('a body that is not read', () => {
  it('comes to its end: the client reads why, and goes on with its connection', async () => {
    await using server = await startTestServer();
    using client = open(server.url);
    const size = 8 * 1024 * 1024;
    client.socket.write(head('/v1/nothing', `content-length: ${size}`));
    await until(() => client.received().includes('route_not_found'));
    client.socket.write(Buffer.alloc(size, ' '));
    client.socket.write('GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n');
    await until(() => client.received().includes('{"status":"ok"}') || client.socket.closed);
    expect(client.received()).toMatch(/^HTTP\/1\.1 404 .*HTTP\/1\.1 200 /s);
  });

  it('is not taken for ever', async () => {
    await using server = await startTestServer();
    using client = open(server.url);
    client.socket.write(head('/v1/nothing', 'transfer-encoding: chunked'));
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000, ' '), Buffer.from('\r\n')]);
    const send = (): void => void client.socket.write(chunk, (error) => (error ? undefined : send()));
    send();
    await client.closed;
  });

  it('of which the client says that it is too much ends the connection', async () => {
    await using server = await startTestServer();
    using client = open(server.url);
    client.socket.write(head('/v1/nothing', `content-length: ${1024 ** 3}`));
    await client.closed;
    expect(client.received()).toMatch(/^HTTP\/1\.1 404 .*connection: close/s);
  });
});

it('A JSON body that drips has no longer to come than it takes, however long a file may', async () => {
  await using server = await startTestServer();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    using client = open(server.url);
    client.socket.write(`${head('/v1/chat/completions', 'content-length: 100')}{"model":`);
    await until(() => vi.getTimerCount() > 0);
    // It is looked for who is late every sixteenth of the minute.
    vi.advanceTimersByTime(64_000);
    await client.closed;
    expect(client.received()).toMatch(/^HTTP\/1\.1 408 .*connection: close.*"code":"request_timeout"/s);
  } finally {
    vi.useRealTimers();
  }
});
