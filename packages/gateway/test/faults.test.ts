import { connect, type Socket } from 'node:net';
import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { chatBody, createGate, portOf, startTestServer, until } from './support.ts';

const chat = '/v1/chat/completions';

describe('a client that leaves', () => {
  for (const [when, stream, at] of [
    ['before the first token', true, 0],
    ['in mid-stream', true, 2],
    ['of a whole answer', false, 2],
    ['of a whole answer before the first token', false, 0],
  ] as const) {
    it(`frees its place ${when}`, async () => {
      const gate = createGate();
      let reached = false;
      await using server = await startTestServer({
        beforeToken: (index) => {
          if (index < at) return;
          reached = true;
          return gate.passed;
        },
      });
      const leaving = new AbortController();
      const response = server.post(chat, { ...chatBody, stream }, { signal: leaving.signal }).catch(() => undefined);
      await until(() => reached);
      expect(server.engine.runningCount).toBe(1);
      leaving.abort();
      await until(() => server.engine.runningCount === 0);
      await response;
    });
  }

  it('stops waiting for a model that loads', async () => {
    const gate = createGate();
    await using server = await startTestServer({ loaded: gate.passed });
    const leaving = new AbortController();
    const response = server.post(chat, chatBody, { signal: leaving.signal }).catch((error: Error) => error.name);
    leaving.abort();
    expect(await response).toBe('AbortError');
    gate.open();
    expect((await server.post(chat, chatBody)).status).toBe(200);
    expect(server.engine.requests).toHaveLength(1);
  });
});

it('names the field that the client wrote when a prompt is too long', async () => {
  await using server = await startTestServer({
    beforeToken() {
      throw new AutoglmError('context_length_exceeded', 'The prompt is too long.', { param: 'messages' });
    },
  });
  const paramOf = async (path: string, body: object) =>
    ((await (await server.post(path, body)).json()) as { error: { code: string; param: string } }).error;
  expect(await paramOf(chat, chatBody)).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
  expect(await paramOf('/v1/completions', { model: 'default', prompt: 'a' })).toMatchObject({
    code: 'context_length_exceeded',
    param: 'prompt',
  });
});

describe('an engine that fails', () => {
  const crash = new AutoglmError('engine_crashed', 'The engine process ended.');
  const failingAt = (place: number) => ({
    beforeToken: (index: number) => {
      if (index === place) throw crash;
    },
  });

  it('gives the error its status before the first part', async () => {
    await using server = await startTestServer(failingAt(0));
    const response = await server.post(chat, { ...chatBody, stream: true });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_crashed', type: 'server_error' } });
  });

  it('marks the end of a stream that has begun', async () => {
    await using server = await startTestServer(failingAt(3));
    const text = await (await server.post(chat, { ...chatBody, stream: true })).text();
    expect(text).toMatch(/data: \{"error":\{"message":"The engine process ended\.".*\}\}\n\ndata: \[DONE\]\n\n$/);
  });

  it('ends the other choices when one fails', async () => {
    const gate = createGate();
    await using server = await startTestServer({
      beforeToken: (index, request) => {
        if (request.id.endsWith('/1')) throw crash;
        return index > 0 ? gate.passed : undefined;
      },
    });
    expect((await server.post(chat, { ...chatBody, n: 3 })).status).toBe(502);
    await until(() => server.engine.runningCount === 0);
  });

  it('says why a model cannot be loaded', async () => {
    const failure = Promise.reject(new AutoglmError('engine_failed', 'The file is damaged: run npm install.'));
    await using server = await startTestServer({ loaded: failure });
    const response = await server.post(chat, chatBody);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed', message: 'The file is damaged: run npm install.' } });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });
});

describe('time', () => {
  it('waits for a model only so long', async () => {
    const gate = createGate();
    await using server = await startTestServer({ loaded: gate.passed }, { ready_timeout_ms: 20 });
    const response = await server.post(chat, chatBody);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    gate.open();
  });

  it('ends an answer at its deadline', async () => {
    const gate = createGate();
    await using server = await startTestServer({ beforeToken: () => gate.passed });
    const response = await server.post(chat, { ...chatBody, autoglm: { deadline_ms: 20 } });
    expect(response.status).toBe(504);
    await until(() => server.engine.runningCount === 0);
  });
});

describe('drain', () => {
  it('lets running answers end, refuses new ones, then closes', async () => {
    const gate = createGate();
    const server = await startTestServer({ beforeToken: (index) => (index === 1 ? gate.passed : undefined) }, { drain_timeout_ms: 30_000 });
    const running = server.post(chat, { ...chatBody, stream: true });
    const body = (await running).text();
    // A connection that is open before the drain may still bring a request.
    const late = await lateRequest(portOf(server.url), () => void server.gateway.drain());
    expect(late).toMatch(/^HTTP\/1\.1 503 /);
    expect(late).toContain('"draining"');
    gate.open();
    expect(await body).toContain('[DONE]');
    await server.gateway.drain();
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
    expect(server.engine.status.state).toBe('closed');
  });

  it('tells new connections that it drains, and readiness probes why', async () => {
    const gate = createGate();
    const server = await startTestServer({ beforeToken: (index) => (index === 1 ? gate.passed : undefined) }, { drain_timeout_ms: 30_000 });
    const running = await server.post(chat, { ...chatBody, stream: true });
    const drained = server.gateway.drain();
    const refused = await server.post(chat, chatBody);
    expect({ status: refused.status, connection: refused.headers.get('connection'), retry: refused.headers.get('retry-after') }).toEqual({
      status: 503,
      connection: 'close',
      retry: '5',
    });
    expect(await refused.json()).toMatchObject({ error: { code: 'draining' } });
    const readiness = await fetch(`${server.url}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.json()).toMatchObject({ status: 'draining' });
    gate.open();
    expect(await running.text()).toContain('[DONE]');
    await drained;
  });

  it('does not wait for a client that never reads', async () => {
    const server = await startTestServer({ tokens: largeAnswer }, { drain_timeout_ms: 20 });
    const socket = unread(server.url, { ...chatBody, stream: true });
    await until(() => server.engine.runningCount === 1);
    await server.gateway.drain();
    expect(server.engine.runningCount).toBe(0);
    socket.destroy();
  });

  it('ends answers that take too long, with a marked error', async () => {
    const gate = createGate();
    const server = await startTestServer({ beforeToken: (index) => (index === 1 ? gate.passed : undefined) }, { drain_timeout_ms: 20 });
    const response = await server.post(chat, { ...chatBody, stream: true });
    const body = response.text();
    await server.gateway.drain();
    expect(await body).toContain('"code":"draining"');
  });
});

describe('a reader that does not read', () => {
  for (const n of [1, 3]) {
    it(`costs bounded memory and does not hold others up, with n = ${n}`, async () => {
      let taken = 0;
      await using server = await startTestServer({ tokens: largeAnswer, beforeToken: (index) => void (taken = Math.max(taken, index)) });
      const socket = unread(server.url, { ...chatBody, stream: true, n });
      await until(() => server.engine.requests.length === n);
      const answers = await Promise.all(
        Array.from({ length: 3 }, async () => (await server.post(chat, { ...chatBody, max_tokens: 3 })).status),
      );
      expect(answers).toEqual([200, 200, 200]);
      expect(server.engine.runningCount).toBe(n);
      expect(taken).toBeLessThan(largeAnswer.length - 1);
      socket.destroy();
      await until(() => server.engine.runningCount === 0);
    });
  }

  it('is let go at its deadline', async () => {
    await using server = await startTestServer({ tokens: largeAnswer });
    const socket = unread(server.url, { ...chatBody, stream: true, autoglm: { deadline_ms: 500 } });
    await until(() => server.engine.requests.length === 1);
    await until(() => server.engine.runningCount === 0);
    socket.destroy();
  });
});

describe('more requests than the server takes', () => {
  it('are told to come back', async () => {
    const gate = createGate();
    await using server = await startTestServer({ beforeToken: () => gate.passed }, {}, { max_batch_size: 1, max_queue: 1 });
    const running = [server.post(chat, chatBody), server.post(chat, chatBody)];
    await until(() => server.engine.runningCount === 2);
    const refused = await server.post(chat, chatBody);
    expect({ status: refused.status, retry: refused.headers.get('retry-after') }).toEqual({ status: 429, retry: '1' });
    gate.open();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
  });
});

/** Far more than the buffers between the server and a client hold. */
const largeAnswer = Array.from({ length: 10_000 }, () => 'x'.repeat(2000));

/** Sends a request and never reads the answer. */
function unread(url: string, request: object): Socket {
  const body = JSON.stringify(request);
  const socket = connect(portOf(url), '127.0.0.1');
  socket.pause().on('error', () => {});
  socket.write(
    `POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  return socket;
}

/** Opens a connection that holds a half-sent request, runs `before`, then sends the rest. */
function lateRequest(port: number, before: () => void): Promise<string> {
  const body = JSON.stringify(chatBody);
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`, () => {
        setImmediate(() => {
          before();
          socket.write(`content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
        });
      });
    });
    socket
      .on('data', (data) => (text += data))
      .on('close', () => resolve(text))
      .on('error', () => resolve(text));
  });
}
