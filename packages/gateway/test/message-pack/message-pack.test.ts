import { Packr, pack, Unpackr, unpack } from 'msgpackr';
import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { body as embeddingBody, startEmbeddingServer } from '../embeddings/support.ts';
import { addTurn, startSessionServer } from '../sessions/support.ts';
import { chatBody, startTestServer, type TestServer } from '../support.ts';

const msgpack = { 'content-type': 'application/msgpack', accept: 'application/msgpack' };
const records = { ...msgpack, accept: 'application/msgpack; records=1' };
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());
const readerOf = (type: string | null) =>
  type?.includes('records') ? new Unpackr({ structures: [] }) : new Unpackr({ useRecords: false });

/** Without what differs from one request to the next. */
function timeless(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, child: unknown) =>
    ['id', 'created', 'timings', 'bottleneck'].includes(key) ? undefined : child,
  );
}

async function chunksOf(server: TestServer, path: string, body: object, headers: Record<string, string>): Promise<readonly unknown[]> {
  const response = await server.post(path, pack(body), { headers });
  expect(response.status).toBe(200);
  const type = response.headers.get('content-type');
  return readerOf(type).unpackMultiple(await bytesOf(response)) as unknown[];
}

async function eventsOf(server: TestServer, path: string, body: object): Promise<readonly unknown[]> {
  const text = await (await server.post(path, body)).text();
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.slice('data: '.length))
    .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));
}

describe('MessagePack over HTTP', () => {
  it.each([msgpack, records])('is asked and answered as JSON is: $accept', async (headers) => {
    await using server = await startTestServer();
    for (const [path, body] of [
      ['/v1/chat/completions', { ...chatBody, logprobs: true, top_logprobs: 1, n: 2 }],
      ['/v1/completions', { model: 'default', prompt: 'x', logprobs: 2 }],
    ] as const) {
      const packed = await server.post(path, pack(body), { headers });
      expect([packed.status, packed.headers.get('content-type')]).toEqual([200, headers.accept]);
      const reader = headers === records ? new Unpackr() : new Unpackr({ useRecords: false });
      expect(timeless(reader.unpack(await bytesOf(packed)))).toEqual(timeless(await (await server.post(path, body)).json()));
    }
  });

  it.each([
    ['/v1/chat/completions', { ...chatBody, stream: true }],
    ['/v1/chat/completions', { ...chatBody, stream: true, n: 3, stream_options: { include_usage: true } }],
    ['/v1/chat/completions', { ...chatBody, stream: true, logprobs: true, top_logprobs: 1 }],
    ['/v1/completions', { model: 'default', prompt: ['x', 'y'], stream: true, logprobs: 1 }],
    ['/v1/completions', { model: 'default', prompt: 'x', stream: true, stop: '世' }],
  ])('streams the chunks that events have: %s %j', async (path, body) => {
    await using server = await startTestServer();
    const events = await eventsOf(server, path, body);
    expect(events.at(-1)).toBe('[DONE]');
    for (const headers of [msgpack, records]) expect(timeless(await chunksOf(server, path, body, headers))).toEqual(timeless(events));
  });

  it('streams an error after its beginning as a value, and then its end', async () => {
    await using server = await startTestServer({
      beforeToken: (index) => {
        if (index === 2) throw new AutoglmError('engine_crashed', 'gone');
      },
    });
    for (const headers of [msgpack, records]) {
      const chunks = await chunksOf(server, '/v1/chat/completions', { ...chatBody, stream: true }, headers);
      expect(chunks.slice(-2)).toEqual([
        { error: expect.objectContaining({ code: 'engine_crashed' }) as object, autoglm: { timings: expect.any(Object) as object } },
        '[DONE]',
      ]);
    }
  });

  it('is read where records announce its shapes, too', async () => {
    await using server = await startTestServer();
    const messages = Array.from({ length: 5 }, (_, index) => ({ role: 'user', content: String(index) }));
    const response = await server.post('/v1/chat/completions', new Packr().pack({ model: 'default', messages }), {
      headers: { 'content-type': 'application/x-msgpack' },
    });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: '你好，世界！' } }] });
    expect(server.engine.requests[0]?.prompt).toMatchObject({ segments: expect.any(Array) as unknown[] });
  });

  it.each<[string, Uint8Array, number, string, string | null]>([
    ['garbage', Buffer.from([0xc1, 0xff]), 400, 'invalid_json', null],
    ['half a body', pack(chatBody).subarray(0, 20), 400, 'invalid_json', null],
    ['bytes where text belongs', pack({ ...chatBody, messages: [{ role: 'user', content: Buffer.from('x') }] }), 400, 'invalid_json', null],
    ['a field that no chat has', pack({ ...chatBody, nonsense: 1 }), 400, 'unknown_parameter', 'nonsense'],
    ['a value out of bounds', pack({ ...chatBody, temperature: 3 }), 400, 'invalid_value', 'temperature'],
    ['too many bytes', pack({ ...chatBody, user: 'x'.repeat(5000) }), 413, 'payload_too_large', null],
  ])('refuses %s, in MessagePack', async (_, body, status, code, param) => {
    await using server = await startTestServer({}, { body_limit_bytes: 4096 });
    const response = await server.post('/v1/chat/completions', body, { headers: msgpack });
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/msgpack']);
    expect(unpack(await bytesOf(response))).toMatchObject({ error: { code, param } });
  });

  it('has embeddings with all that float32 has, in a fraction of the bytes', async () => {
    await using server = await startEmbeddingServer();
    const json = await server.embed(embeddingBody);
    const text = await json.text();
    const packed = await server.embed(embeddingBody, { headers: { accept: 'application/msgpack' } });
    const bytes = await bytesOf(packed);
    const vectorOf = (answer: unknown) =>
      Float32Array.from((answer as { data: readonly { embedding: number[] }[] }).data[0]?.embedding ?? []);
    expect(vectorOf(unpack(bytes))).toEqual(vectorOf(JSON.parse(text)));
    expect(vectorOf(unpack(bytes)).length).toBeGreaterThan(0);
  });

  it('has sessions: made, changed by either kind of patch, read and asked', async () => {
    await using server = await startSessionServer();
    const send = (method: string, path: string, value?: unknown, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, { method, ...(value !== undefined && { body: pack(value) }), headers: { ...msgpack, ...headers } });
    const created = await send('POST', '/v1/sessions', chatBody);
    const { id } = unpack(await bytesOf(created)) as { id: string };
    const patched = await send('PATCH', `/v1/sessions/${id}`, [addTurn('x')], { 'if-match': created.headers.get('etag') as string });
    expect(patched.status).toBe(204);
    expect(
      (await send('PATCH', `/v1/sessions/${id}`, { max_tokens: 1 }, { 'if-match': patched.headers.get('etag') as string })).status,
    ).toBe(204);
    expect(unpack(await bytesOf(await send('GET', `/v1/sessions/${id}`)))).toMatchObject({
      id,
      body: { ...chatBody, max_tokens: 1, messages: [...chatBody.messages, { role: 'user', content: 'x' }] },
    });
    expect(unpack(await bytesOf(await send('POST', `/v1/sessions/${id}/completions`, {})))).toMatchObject({
      choices: [{ message: { content: '你' } }],
    });
    expect(unpack(await bytesOf(await send('GET', '/v1/sessions/none')))).toMatchObject({ error: { code: 'session_not_found' } });
  });
});
