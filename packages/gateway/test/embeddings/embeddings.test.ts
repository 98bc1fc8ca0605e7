import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMockEngine, defaultConfig, startGateway } from '../../src/main.ts';
import { until } from '../support.ts';
import { body, startEmbeddingServer, type EmbeddingServer } from './support.ts';

interface Answer {
  readonly object: string;
  readonly data: readonly { readonly object: string; readonly index: number; readonly embedding: readonly number[] | string }[];
  readonly model: string;
  readonly usage: object;
}

describe('POST /v1/embeddings', () => {
  let server: EmbeddingServer;
  beforeAll(async () => {
    server = await startEmbeddingServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const answer = async (asked: object) => (await (await server.embed({ ...body, ...asked })).json()) as Answer;

  it('is where its model is asked: a chat with it says so', async () => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mock-embeddings', messages: [{ role: 'user', content: 'hi' }] }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      404,
      {
        error: {
          code: 'model_not_found',
          message: expect.stringMatching(
            /^The model "mock-embeddings" makes embeddings and writes no text\. Known models: default/,
          ) as string,
        },
      },
    ]);
  });

  it('answers a text as OpenAI does', async () => {
    const response = await server.embed(body);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-autoglm-engine')).toBe('mock-embeddings');
    expect(response.headers.get('server-timing')).toMatch(/queue;dur=.*prefill;dur=.*total;dur=/);
    const { object, data, model, usage } = (await response.json()) as Answer;
    expect({ object, model, usage }).toEqual({ object: 'list', model: 'mock-embeddings', usage: { prompt_tokens: 5, total_tokens: 5 } });
    expect(data).toHaveLength(1);
    expect(data[0]).toMatchObject({ object: 'embedding', index: 0 });
    expect(Math.hypot(...(data[0]?.embedding as number[]))).toBeCloseTo(1, 6);
  });

  it('takes texts, token ids and arrays of both, in order', async () => {
    const [a, b] = (await answer({ input: ['a', 'bb'] })).data as [Answer['data'][0], Answer['data'][0]];
    expect([a.index, b.index]).toEqual([0, 1]);
    expect((await answer({ input: [97] })).data).toEqual([{ ...a, index: 0 }]);
    expect((await answer({ input: [[98, 98], [97]] })).data.map(({ embedding }) => embedding)).toEqual([b.embedding, a.embedding]);
    expect((await answer({ input: 'a', user: 'somebody', dimensions: null, encoding_format: null })).data).toHaveLength(1);
  });

  it('writes base64 that holds the very same numbers', async () => {
    const [floats, base64] = [await answer({ encoding_format: 'float' }), await answer({ encoding_format: 'base64' })];
    const bytes = Uint8Array.from(Buffer.from(base64.data[0]?.embedding as string, 'base64'));
    expect([...new Float32Array(bytes.buffer)]).toEqual(Array.from(floats.data[0]?.embedding as number[], Math.fround));
  });

  const bad: readonly [name: string, asked: object, expected: object][] = [
    ['no input', { input: undefined }, { code: 'missing_parameter', param: 'input' }],
    ['an empty text', { input: '' }, { code: 'invalid_value', param: 'input' }],
    ['an empty text among others', { input: ['a', ''] }, { code: 'invalid_value', param: 'input[1]' }],
    ['nothing in the list', { input: [] }, { code: 'invalid_value', param: 'input' }],
    ['no tokens', { input: [[1], []] }, { code: 'invalid_value', param: 'input[1]' }],
    ['a number', { input: 7 }, { code: 'invalid_value', param: 'input' }],
    ['a token that is none', { input: [1, 2.5] }, { code: 'invalid_value', param: 'input[1]' }],
    ['a token below zero in a list', { input: [[1], [-2]] }, { code: 'invalid_value', param: 'input[1][0]' }],
    ['an object in the list', { input: ['a', {}] }, { code: 'invalid_value', param: 'input[1]' }],
    ['too many texts', { input: new Array(2049).fill('a') }, { code: 'invalid_value', param: 'input' }],
    ['half of a surrogate pair', { input: ['a', '\ud83d'] }, { code: 'invalid_value', param: 'input[1]' }],
    ['a format that is none', { encoding_format: 'int8' }, { code: 'invalid_value', param: 'encoding_format' }],
    ['dimensions that the model has not', { dimensions: 4 }, { code: 'invalid_value', param: 'dimensions' }],
    ['no dimensions', { dimensions: 0 }, { code: 'invalid_value', param: 'dimensions' }],
    ['a field of another route', { stream: true }, { code: 'unknown_parameter', param: 'stream' }],
    ['an unknown extension', { autoglm: { fit: true } }, { code: 'unknown_parameter', param: 'autoglm.fit' }],
    ['an extension of the wrong type', { autoglm: { truncate: 'yes' } }, { code: 'invalid_value' }],
    ['a text that is too long', { input: ['a', 'b'.repeat(65)] }, { code: 'context_length_exceeded', param: 'input[1]' }],
  ];
  for (const [name, asked, expected] of bad) {
    it(`refuses ${name}, naming the field`, async () => {
      const response = await server.embed({ ...body, ...asked });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', ...expected } });
    });
  }

  it('is of the lane that the client chose, the body first', async () => {
    await using server = await startEmbeddingServer();
    const headers = { 'x-autoglm-lane': 'batch' };
    await server.embed(body);
    await server.embed(body, { headers });
    await server.embed({ ...body, autoglm: { lane: 'realtime' } }, { headers });
    await server.embed({ ...body, autoglm: { lane: 'batch' } });
    expect(server.engine.requests.map(({ lane }) => lane)).toEqual(['realtime', 'batch', 'realtime', 'batch']);
    const refused = await server.embed({ ...body, autoglm: { lane: 'express' } });
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: 'invalid_value', param: 'autoglm.lane' } }]);
  });

  it('answers two requests of one id, each its own', async () => {
    const answers = await Promise.all(
      ['a', 'bb'].map(async (input) => (await server.embed({ ...body, input }, { headers: { 'x-request-id': 'one' } })).json()),
    );
    expect(answers).toMatchObject([{ usage: { prompt_tokens: 1 } }, { usage: { prompt_tokens: 2 } }]);
    const [one, two] = server.engine.requests.slice(-2);
    expect([one?.requestId, two?.requestId, one?.id === two?.id]).toEqual(['one', 'one', false]);
  });

  it('cuts a text only where that is asked for', async () => {
    expect((await answer({ input: 'b'.repeat(100), autoglm: { truncate: true } })).usage).toEqual({ prompt_tokens: 64, total_tokens: 64 });
  });

  it('says which models there are for embeddings, and that one that writes text is none', async () => {
    const unknown = await server.embed({ ...body, model: 'text-embedding-3-small' });
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({
      error: { code: 'model_not_found', param: 'model', message: expect.stringContaining('mock-embeddings') },
    });
    expect(await (await server.embed({ ...body, model: 'default' })).json()).toMatchObject({
      error: { message: expect.stringContaining('writes text') },
    });
  });

  it('is listed with what it is', async () => {
    const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: object[] };
    expect(data).toContainEqual(
      expect.objectContaining({
        id: 'mock-embeddings',
        autoglm: expect.objectContaining({ embedding_dimensions: 8, pooling: 'mean', context_length: 64 }),
      }),
    );
    expect(await (await fetch(`${server.url}/v1/models/mock-embeddings`)).json()).toMatchObject({ id: 'mock-embeddings' });
    expect((await fetch(`${server.url}/v1/embeddings`)).status).toBe(405);
  });

  it('is counted and timed as other requests are', async () => {
    await server.embed(body);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/model_name="mock-embeddings",operation="embeddings",outcome="answered"/);
    expect(metrics).toMatch(/gen_ai_operation_name="embeddings"[^\n]*gen_ai_request_model="mock-embeddings"/);
  });
});

describe('an embedding engine that is not at its best', () => {
  it('is waited for, within the bound', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using server = await startEmbeddingServer({ loaded: promise });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    const waiting = server.embed(body);
    resolve();
    expect((await waiting).status).toBe(200);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    await using slow = await startEmbeddingServer({ loaded: new Promise(() => {}) }, { ready_timeout_ms: 1 });
    const late = await slow.embed(body);
    expect([late.status, late.headers.get('retry-after')]).toEqual([503, '5']);
  });

  it('hears of a client that leaves, and of a deadline', async () => {
    const aborted: unknown[] = [];
    await using server = await startEmbeddingServer({
      beforeAnswer: (_, signal) =>
        new Promise(() => signal.addEventListener('abort', () => aborted.push((signal.reason as { code: string }).code))),
    });
    const leaving = new AbortController();
    const left = server.embed(body, { signal: leaving.signal }).catch(() => 'left');
    await until(() => server.engine.requests.length === 1);
    leaving.abort();
    expect(await left).toBe('left');
    const late = await server.embed({ ...body, autoglm: { deadline_ms: 20 } });
    expect([late.status, await late.json()]).toMatchObject([504, { error: { code: 'deadline_exceeded' } }]);
    await until(() => aborted.length === 2);
    expect(aborted).toEqual(['client_closed_request', 'deadline_exceeded']);
  });

  it('is ended by a drain that cannot wait', async () => {
    const server = await startEmbeddingServer({ beforeAnswer: () => new Promise(() => {}) }, { drain_timeout_ms: 1 });
    const running = server.embed(body);
    await until(() => server.engine.requests.length === 1);
    await server.gateway.drain();
    expect((await running).status).toBe(503);
    expect(server.engine.status.state).toBe('closed');
  });
});

it('is a 404 that says how to have embeddings where there is no model for them', async () => {
  const gateway = await startGateway({
    config: { ...defaultConfig, server: { ...defaultConfig.server, port: 0 } },
    engine: createMockEngine(),
  });
  try {
    const response = await fetch(`${gateway.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'bge-small-zh', input: 'a' }),
    });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining('embeddings: {model: bge-small-zh}') },
    });
  } finally {
    await gateway.drain();
  }
});
