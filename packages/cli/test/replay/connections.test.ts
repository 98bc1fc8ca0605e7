import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Connection } from '../../src/replay/generator/connection.ts';
import { Connections } from '../../src/replay/generator/connections.ts';
import { makeRequestMessage } from '../../src/replay/generator/request-message.ts';

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => void sockets.add(socket.on('error', () => {})));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

function openConnections(url: string, { connectTimeoutMs = 60_000, onRead = () => {} } = {}) {
  const clock = { nowMs: 0 };
  const connections = new Connections({ url: new URL(url), connectTimeoutMs, now: () => clock.nowMs, onRead });
  onTestFinished(() => connections.close());
  return { connections, clock };
}

/** The status and body of an answer, or why there is none. */
function ask(connection: Connection, url: string, headers = {}): Promise<string> {
  const answered = Promise.withResolvers<string>();
  let text = '';
  connection.send(makeRequestMessage({ url, path: '/v1/chat/completions', headers, body: '{"你":"好"}' }), {
    onHead: (status) => (text += `${status} `),
    onBody: (bytes) => (text += Buffer.from(bytes).toString()),
    onWhole: () => answered.resolve(text),
    onBroken: answered.resolve,
  });
  return answered.promise;
}

/** Tells what it was asked. */
const echo: RequestListener = async (request, response) => {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece as string;
  response.end(
    `${request.method} ${request.url} ${request.headers.host?.replace(/\d+$/, 'port')} ${request.headers.authorization ?? ''} ${body}`,
  );
};

describe('connections', () => {
  it('send what was asked, to the path below the server’s own', async () => {
    const url = `http://127.0.0.1:${await listen(createHttpServer(echo))}/below/`;
    const { connections } = openConnections(url);
    expect(await ask(connections.take(), url, { authorization: 'Bearer a' })).toBe(
      '200 POST /below/v1/chat/completions 127.0.0.1:port Bearer a {"你":"好"}',
    );
    expect(() => makeRequestMessage({ url, path: '/', headers: { authorization: 'a\nb' }, body: '' })).toThrow(
      'Invalid character in header content',
    );
  });

  it('are taken again until the server would close them, and then no more', async () => {
    const url = `http://127.0.0.1:${await listen(Object.assign(createHttpServer(echo), { keepAliveTimeout: 3000 }))}`;
    const { connections, clock } = openConnections(url);
    const first = connections.take();
    await ask(first, url);
    connections.giveBack(first);
    clock.nowMs = 1999;
    expect(connections.take()).toBe(first);
    connections.giveBack(first);
    clock.nowMs += 2000;
    expect(connections.take()).not.toBe(first);
    expect(connections.count).toBe(1);
  });

  it('are not taken again when the server has closed them', async () => {
    const server = createHttpServer((_, response) => void response.writeHead(200, { connection: 'close' }).end('a'));
    const url = `http://127.0.0.1:${await listen(server)}`;
    const { connections } = openConnections(url);
    const first = connections.take();
    expect(await ask(first, url)).toBe('200 a');
    connections.giveBack(first);
    expect(connections.take()).not.toBe(first);
    expect(connections.count).toBe(1);
  });

  it('are not taken again when something has come unasked, not even by whoever is told of it', async () => {
    const server = createHttpServer(echo);
    const connected = once(server, 'connection');
    const url = `http://127.0.0.1:${await listen(server)}`;
    const answered = Promise.withResolvers<string>();
    let isIdle = false;
    const onRead = () => {
      if (!isIdle) return;
      isIdle = false;
      answered.resolve(ask(connections.take(), url));
    };
    const { connections } = openConnections(url, { onRead });
    const first = connections.take();
    await ask(first, url);
    connections.giveBack(first);
    isIdle = true;
    const [socket] = (await connected) as [Socket];
    socket.write('HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n');
    expect(await answered.promise).toContain('200 POST');
    expect(connections.take()).not.toBe(first);
  });

  it('give up a server that does not finish its handshake', async () => {
    const url = `https://127.0.0.1:${await listen(createTcpServer())}`;
    expect(await ask(openConnections(url, { connectTimeoutMs: 1 }).connections.take(), url)).toBe('no connection in time');
  });

  it('are encrypted where the address says so, and only to whom the system trusts', async ({ skip }) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-certificate-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    try {
      const options = [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-keyout',
        'key',
        '-out',
        'cert',
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ];
      execFileSync('openssl', options, { cwd: folder, stdio: 'ignore' });
    } catch {
      skip('there is no openssl');
    }
    const [key, cert] = await Promise.all(['key', 'cert'].map((name) => readFile(path.join(folder, name), 'utf8')));
    const url = `https://127.0.0.1:${await listen(createHttpsServer({ key, cert }, echo))}`;
    const { connections } = openConnections(url);
    expect(await ask(connections.take(), url)).toContain('self-signed certificate');
    const trusted = getCACertificates('default');
    onTestFinished(() => setDefaultCACertificates(trusted));
    setDefaultCACertificates([...trusted, cert as string]);
    const connection = connections.take();
    expect(await ask(connection, url)).toBe('200 POST /v1/chat/completions 127.0.0.1:port  {"你":"好"}');
    connections.giveBack(connection);
    expect(connections.take()).toBe(connection);
  });
});
