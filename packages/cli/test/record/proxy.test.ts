import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { post, startRecording, startUpstream } from './support.ts';

const chunk = (content: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const question = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hello' }] };

/** Reads the body, then hands the response over. */
function answering(answer: (response: ServerResponse, body: string, message: IncomingMessage) => void) {
  return (message: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = [];
    message.on('data', (piece: Buffer) => pieces.push(piece));
    message.on('end', () => answer(response, Buffer.concat(pieces).toString('utf8'), message));
  };
}

describe('the recording proxy', () => {
  it('passes a stream on piece by piece, as it comes', async () => {
    const gate = Promise.withResolvers<void>();
    await using upstream = await startUpstream(
      answering(async (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(chunk('a'));
        await gate.promise;
        response.end(`${chunk('b')}data: [DONE]\n\n`);
      }),
    );
    await using recording = await startRecording(upstream.url);
    const response = await post(recording.url, question);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = await reader.read();
    expect(Buffer.from(first.value as Uint8Array).toString()).toBe(chunk('a'));
    gate.resolve();
    const rest: Buffer[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) rest.push(Buffer.from(next.value));
    expect(Buffer.concat(rest).toString()).toBe(`${chunk('b')}data: [DONE]\n\n`);
  });

  it('changes nothing but the headers of the connection and the compression of what it reads', async () => {
    const seen: { headers: IncomingMessage['headers']; url: string | undefined; method: string | undefined; body: string }[] = [];
    await using upstream = await startUpstream(
      answering((response, body, { headers, url, method }) => {
        seen.push({ headers, url, method, body });
        response.writeHead(
          201,
          'Made',
          [
            ['x-a', '1'],
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
            ['connection', 'x-hop'],
            ['x-hop', '1'],
          ].flat(),
        );
        response.end('日本');
      }),
    );
    await using recording = await startRecording(`${upstream.url}/api/v1`);
    const response = await fetch(`${recording.url}/v1/chat/completions?key=1`, {
      method: 'POST',
      body: '{"a": "é"}',
      headers: { authorization: 'Bearer secret', 'accept-encoding': 'gzip', 'x-own': 'yes' },
    });
    expect([
      response.status,
      response.statusText,
      response.headers.get('x-a'),
      response.headers.getSetCookie(),
      response.headers.get('x-hop'),
      await response.text(),
    ]).toEqual([201, 'Made', '1', ['a=1', 'b=2'], null, '日本']);
    const [{ headers, url, body }] = seen as [(typeof seen)[number]];
    expect({ url, body }).toEqual({ url: '/api/v1/chat/completions?key=1', body: '{"a": "é"}' });
    expect(headers).toMatchObject({
      authorization: 'Bearer secret',
      'x-own': 'yes',
      'accept-encoding': 'identity',
      host: new URL(upstream.url).host,
    });
    const models = await fetch(`${recording.url}/v1/models`, { method: 'GET', headers: { 'accept-encoding': 'gzip' } });
    expect(models.status).toBe(201);
    expect(seen[1]).toMatchObject({ method: 'GET', url: '/api/v1/models', headers: { 'accept-encoding': 'gzip' } });
    expect((await recording.end()).counts.others).toBe(1);
  });

  it('slows a server whose client does not read', async () => {
    let written = 0;
    const full = Promise.withResolvers<void>();
    const size = 64 * 1024 * 1024;
    await using upstream = await startUpstream(
      answering(async (response) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
        while (written < size) {
          written += 65_536;
          if (response.write(Buffer.alloc(65_536))) continue;
          const timer = setTimeout(() => full.resolve(), 200);
          await once(response, 'drain');
          clearTimeout(timer);
        }
        response.end();
      }),
    );
    await using recording = await startRecording(upstream.url);
    const client = request(`${recording.url}/v1/chat/completions`, { method: 'POST' });
    client.end('{}');
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    await full.promise;
    expect(written).toBeLessThan(size / 2);
    let read = 0;
    for await (const piece of response as AsyncIterable<Buffer>) read += piece.length;
    expect(read).toBe(size);
  });

  it('lets the server know when the client leaves', async () => {
    const left = Promise.withResolvers<void>();
    await using upstream = await startUpstream(
      answering((response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(chunk('a'));
        response.on('close', () => left.resolve());
      }),
    );
    await using recording = await startRecording(upstream.url);
    const abort = new AbortController();
    const response = await post(recording.url, question, { signal: abort.signal });
    await response.body?.getReader().read();
    abort.abort();
    await left.promise;
    const { lines } = await recording.end();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ recorded: { status: 200, cut: true } });
    expect(lines[0]).not.toHaveProperty('output_tokens');
  });

  it('lets the server know when the client leaves in the middle of its request', async () => {
    const left = Promise.withResolvers<void>();
    await using upstream = await startUpstream((message) => message.on('close', () => left.resolve()));
    await using recording = await startRecording(upstream.url);
    const socket = connect(Number(new URL(recording.url).port), '127.0.0.1');
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"messages"');
    const reached = once(upstream.server, 'request');
    await reached;
    socket.destroy();
    await left.promise;
    expect((await recording.end()).counts.unrecorded['cut off']).toBe(1);
  });

  it('breaks an answer off where the server did, and serves the next one', async () => {
    let count = 0;
    await using upstream = await startUpstream(
      answering((response) => {
        count += 1;
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(chunk('a'), () => count === 1 && response.destroy());
        if (count > 1) response.end('data: [DONE]\n\n');
      }),
    );
    await using recording = await startRecording(upstream.url);
    const cut = await post(recording.url, question);
    await expect(cut.text()).rejects.toThrow();
    expect(await (await post(recording.url, question)).text()).toContain('[DONE]');
    const { lines } = await recording.end();
    expect(lines.map(({ recorded, output_tokens }) => [recorded?.cut, output_tokens])).toEqual([
      [true, undefined],
      [undefined, 1],
    ]);
  });

  it('says that a server cannot be reached, and notes the request', async () => {
    const gone = await startUpstream(() => {});
    await gone[Symbol.asyncDispose]();
    await using recording = await startRecording(gone.url);
    const response = await post(recording.url, question);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'upstream_unreachable' } });
    expect((await recording.end()).lines).toMatchObject([{ recorded: { status: 502 } }]);
  });

  it.each([
    ['HTTP/1.1 099 Low\r\n\r\n', 'it answered with status 99'],
    ['SSH-2.0-OpenSSH\r\n', 'cannot be reached'],
    ['', 'cannot be reached'],
  ])('is not ended by a server that says %j', async (said, message) => {
    const upstream = createTcpServer((socket) => void socket.once('data', () => socket.end(said)).on('error', () => {}));
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    onTestFinished(() => void upstream.close());
    await using recording = await startRecording(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
    for (let count = 0; count < 2; count += 1) {
      const response = await post(recording.url, question);
      expect(response.status).toBe(502);
      expect(((await response.json()) as { error: { message: string } }).error.message).toContain(message);
    }
  });

  it.each(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST'])('frames the body of a %s as the client did', async (method) => {
    const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n';
    const bodies = [
      `transfer-encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
      `connection: content-length\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
    ];
    const seen: { url: string | undefined; body: string }[] = [];
    await using upstream = await startUpstream(
      answering((response, body, { url }) => {
        seen.push({ url, body });
        response.end();
      }),
    );
    await using recording = await startRecording(upstream.url);
    for (const body of bodies) {
      const socket = connect(Number(new URL(recording.url).port), '127.0.0.1');
      socket.write(`${method} /v1/things HTTP/1.1\r\nhost: x\r\n${body}`);
      await once(socket, 'data');
      socket.destroy();
    }
    await (await fetch(`${recording.url}/v1/models`)).text();
    expect(seen).toEqual([
      { url: '/v1/things', body: smuggled },
      { url: '/v1/things', body: smuggled },
      { url: '/v1/models', body: '' },
    ]);
  });

  it('is not ended by a client that takes it for another kind of proxy', async () => {
    await using recording = await startRecording('http://127.0.0.1:9');
    const socket = connect(Number(new URL(recording.url).port), '127.0.0.1');
    socket.end('GET http://elsewhere/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    let answer = '';
    for await (const piece of socket.setEncoding('utf8')) answer += piece;
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('gives back an answer that came before the request was read', async () => {
    await using upstream = await startUpstream((_, response) => {
      response.writeHead(413, { connection: 'close', 'content-length': 5 });
      response.end('large');
    });
    await using recording = await startRecording(upstream.url);
    const response = await fetch(`${recording.url}/v1/chat/completions`, { method: 'POST', body: 'x'.repeat(200_000) });
    expect([response.status, await response.text()]).toEqual([413, 'large']);
  });
});
