import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { ApiError, ConnectionError, createClient } from '../src/index.ts';
import { clientOf, startFlakyProxy, startServer, until, type Fate } from './support.ts';

const body = { model: 'default', messages: [{ role: 'user', content: '你好' }] } as const;

describe.each(['json', 'msgpack'] as const)('the client, %s', (encoding) => {
  it('asks and is answered', async () => {
    await using server = await startServer();
    const client = server.client({ encoding });
    const answer = await client.chat.completions.create({ ...body, max_tokens: 2 });
    expect(answer.choices[0]?.message).toMatchObject({ role: 'assistant', content: '你好' });
    expect(answer.usage?.completion_tokens).toBe(2);
    expect((await client.models.list()).map(({ id }) => id)).toContain('default');
    expect((await client.models.retrieve('default')).owned_by).toBe('open-autoglm');
    const [embedded] = (await client.embeddings.create({ model: 'mock-embeddings', input: 'hello' })).data;
    expect(embedded?.embedding).toEqual(expect.arrayContaining([expect.any(Number)]));
  });

  it('asks for a tenant whose name is written in any script, as a body would', async () => {
    await using server = await startServer();
    await server.client({ encoding, tenant: '门店' }).chat.completions.create(body);
    await server.client({ encoding }).chat.completions.create({ ...body, autoglm: { tenant: '门店' } });
    const [named, inBody] = server.engine.requests.map(({ cacheScope }) => cacheScope);
    expect(named).toBe(inBody);
  });

  it('streams', async () => {
    await using server = await startServer();
    const stream = await server
      .client({ encoding })
      .chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    let text = '';
    let tokens: number | undefined;
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? '';
      tokens = usage?.completion_tokens ?? tokens;
    }
    expect([text, tokens]).toEqual(['你好，世界！', 6]);
  });

  it('tells what was wrong, and where', async () => {
    await using server = await startServer();
    const failed = server.client({ encoding }).chat.completions.create({ ...body, temperature: 7 });
    await expect(failed).rejects.toMatchObject({
      name: 'ApiError',
      status: 400,
      code: 'invalid_value',
      param: 'temperature',
      requestId: expect.stringMatching(/.+/) as string,
    });
  });

  it('tells of an error after the beginning of a stream', async () => {
    await using server = await startServer({
      beforeToken: (index) => {
        if (index === 2) throw new AutoglmError('engine_crashed', 'gone');
      },
    });
    const stream = await server.client({ encoding }).chat.completions.create({ ...body, stream: true });
    const reading = (async () => {
      for await (const _ of stream);
    })();
    await expect(reading).rejects.toMatchObject({ name: 'ApiError', code: 'engine_crashed' });
  });

  it.each(['abort', 'signal', 'break'] as const)('ends the generation when it leaves by %s', async (way) => {
    await using server = await startServer({ beforeToken: (index) => (index < 2 ? undefined : new Promise<void>(() => {})) });
    const abort = new AbortController();
    const stream = await server.client({ encoding }).chat.completions.create({ ...body, stream: true }, { signal: abort.signal });
    const reading = (async () => {
      for await (const { choices } of stream) {
        if (choices[0]?.delta.content !== '好') continue;
        if (way === 'break') break;
        if (way === 'abort') stream.abort(new Error('enough'));
        else abort.abort(new Error('enough'));
      }
    })();
    if (way === 'break') await reading;
    else await expect(reading).rejects.toThrow('enough');
    await until(() => server.engine.runningCount === 0);
  });
});

describe('the client over a bad connection', () => {
  it('sends again what is safe to send again', async () => {
    await using server = await startServer();
    const fates: Fate[] = ['cut-request', 'cut-answer', 'pass'];
    await using proxy = await startFlakyProxy(server.url, () => fates.shift() ?? 'pass');
    const answer = await clientOf(proxy.url).chat.completions.create(body);
    expect(answer.choices[0]?.message.content).toBe('你好，世界！');
    expect(fates).toEqual([]);
  });

  it('gives up in the end, and no more often than its budget allows', async () => {
    await using server = await startServer();
    let connections = 0;
    await using proxy = await startFlakyProxy(server.url, () => {
      connections += 1;
      return 'cut-request';
    });
    const client = clientOf(proxy.url);
    for (let index = 0; index < 30; index += 1) await expect(client.models.list()).rejects.toBeInstanceOf(ConnectionError);
    expect(connections).toBeLessThanOrEqual(30 + 10 + 30 * 0.2);
  });

  it('has one bound of tries, whichever part of the request fails', async () => {
    // The head of an answer, and a body that breaks off; then a connection that does; and so on.
    let tries = 0;
    const broken = () => new Response(new ReadableStream({ start: (controller) => controller.error(new TypeError('terminated')) }));
    const client = createClient({
      baseUrl: 'http://server/v1',
      retriesMax: 2,
      wait: async () => {},
      fetch: async () => {
        tries += 1;
        if (tries % 2 === 0) throw new TypeError('no network');
        return broken();
      },
    });
    await expect(client.models.list()).rejects.toBeInstanceOf(ConnectionError);
    expect(tries).toBe(3);
  });

  it('waits as long as the server asks for', async () => {
    const waits: number[] = [];
    const answers = [
      new Response('{"error":{"message":"full","code":"queue_full"}}', { status: 429, headers: { 'retry-after': '7' } }),
      new Response('{"data":[]}'),
    ];
    const client = createClient({
      baseUrl: 'http://server/v1',
      random: () => 1,
      fetch: async () => answers.shift() as Response,
      wait: async (ms) => void waits.push(ms),
    });
    expect(await client.models.list()).toEqual([]);
    expect(waits).toEqual([7000]);
  });

  it('does not wait for anybody who has left', async () => {
    const abort = new AbortController();
    const client = createClient({
      baseUrl: 'http://server/v1',
      fetch: async () => Response.json({}, { status: 503 }),
      wait: async (_, signal) => {
        abort.abort(new Error('left'));
        signal?.throwIfAborted();
      },
    });
    await expect(client.models.list({ signal: abort.signal })).rejects.toThrow('left');
  });

  it('says that a stream broke off', async () => {
    const client = createClient({
      baseUrl: 'http://server/v1',
      fetch: async () => new Response('data: {"choices":[]}\n\n', { headers: { 'content-type': 'text/event-stream' } }),
    });
    const stream = await client.chat.completions.create({ ...body, stream: true });
    const reading = (async () => {
      for await (const _ of stream);
    })();
    await expect(reading).rejects.toBeInstanceOf(ConnectionError);
  });

  it.each(['data: {no\n\n', 'data: null\n\n', '<html>\n\n'])('says that what came is no stream of chunks: %j', async (text) => {
    const client = createClient({
      baseUrl: 'http://server/v1',
      fetch: async () => new Response(`data: {"choices":[]}\n\n${text}`, { headers: { 'content-type': 'text/event-stream' } }),
    });
    let count = 0;
    const reading = (async () => {
      for await (const _ of await client.chat.completions.create({ ...body, stream: true })) count += 1;
    })();
    await expect(reading).rejects.toBeInstanceOf(ConnectionError);
    expect(count).toBe(1);
  });

  it('says that somebody else has answered', async () => {
    const client = createClient({ baseUrl: 'http://server/v1', retriesMax: 0, fetch: async () => new Response('<html>Sign in</html>') });
    await expect(client.models.list()).rejects.toMatchObject({
      name: 'ConnectionError',
      message: expect.stringContaining('is not JSON') as string,
    });
  });

  it('takes a stream whose choices have all finished for whole, also without [DONE]', async () => {
    const read = async (...finished: readonly (string | null)[]) => {
      const events = finished.map(
        (reason, index) =>
          `data: ${JSON.stringify({ choices: [{ index: index % 2, delta: { content: 'a' }, finish_reason: reason }] })}\n\n`,
      );
      const client = createClient({
        baseUrl: 'http://server/v1',
        fetch: async () => new Response(events.join(''), { headers: { 'content-type': 'text/event-stream' } }),
      });
      let count = 0;
      for await (const _ of await client.chat.completions.create({ ...body, stream: true })) count += 1;
      return count;
    };
    expect(await read(null, null, 'stop', 'length')).toBe(4);
    await expect(read(null, null, 'stop')).rejects.toMatchObject({ name: 'ConnectionError', message: 'The answer broke off.' });
  });

  it.each([
    ['a text alone', { error: 'no such model' }, 'no such model', undefined],
    ['details', { detail: 'messages: field required' }, 'messages: field required', undefined],
    ['a message beside the error', { object: 'error', message: 'too long', code: 400 }, 'too long', undefined],
    ['fields of other types', { error: { message: { at: 1 }, code: 'full', param: ['x'] } }, 'The server answered with HTTP 422.', 'full'],
    ['nothing', null, 'The server answered with HTTP 422.', undefined],
  ])('tells what other servers say of an error: %s', async (_, said, message, code) => {
    const client = createClient({ baseUrl: 'http://server/v1', fetch: async () => Response.json(said, { status: 422 }) });
    const error: unknown = await client.models.list().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'ApiError', status: 422, message });
    expect((error as ApiError).code).toBe(code);
    expect((error as ApiError).param).toBeUndefined();
  });

  it('tells an error within a stream that is only a text', async () => {
    const client = createClient({
      baseUrl: 'http://server/v1',
      fetch: async () => new Response('data: {"error":"out of memory"}\n\n', { headers: { 'content-type': 'text/event-stream' } }),
    });
    const stream = await client.chat.completions.create({ ...body, stream: true });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ name: 'ApiError', message: 'out of memory' });
  });

  it.each(['', 'null', '5', '{}'])('says that what came is no answer: %j', async (text) => {
    const client = createClient({ baseUrl: 'http://server/v1', retriesMax: 0, fetch: async () => new Response(text) });
    await expect(client.models.list()).rejects.toBeInstanceOf(ConnectionError);
    const stream = await client.chat.completions.create({ ...body, stream: true });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      name: 'ConnectionError',
      message: 'What came is no chunk of an answer.',
    });
  });

  it('keeps the connection of a stream whose end comes after its last event', async () => {
    const ports = new Set<number | undefined>();
    const server = createServer((message, response) => {
      ports.add(message.socket.remotePort);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[]}\n\ndata: [DONE]\n\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = createClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` });
    for (let index = 0; index < 5; index += 1) {
      const answered = once(server, 'request') as Promise<[unknown, ServerResponse]>;
      for await (const _ of await client.chat.completions.create({ ...body, stream: true }));
      const [, response] = await answered;
      const closed = once(response, 'close');
      response.end();
      await closed;
    }
    server.closeAllConnections();
    server.close();
    expect(ports.size).toBeLessThan(5);
  });

  it('wants to know where its server is', () => {
    expect(() => createClient()).toThrow('baseUrl is missing');
    expect(new ApiError(418, {}).message).toContain('418');
  });
});
