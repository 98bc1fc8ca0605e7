import { embeddingEngineContract } from '@open-autoglm/protocol/contract';
import { describe, expect, it } from 'vitest';
import { openAiReplica } from '../../src/engines/openai-compatible/index.ts';
import { fakeModel, hang, sendJson, startFakeBackend, type Behaviour } from '../upstream/fake-backend.ts';
import { startRemoteGateway } from '../upstream/support.ts';
import { stopClock } from '../stopped-clock.ts';
import { until } from '../support.ts';

const body = { model: fakeModel, input: ['ab', 'c'] };

/** Vectors [length, first character], in another order than they were asked for. */
const embeds =
  (encode: (vector: number[]) => unknown = (vector) => vector): Behaviour =>
  (response, { body: asked }) => {
    const inputs = [asked['input']].flat() as string[];
    const long = inputs.findIndex((text) => text.length > 100);
    if (long >= 0)
      return sendJson(response, 400, {
        error: { message: 'too long', code: 'context_length_exceeded', param: inputs.length === 1 ? 'input' : `input[${long}]` },
      });
    const data = inputs
      .map((text, index) => ({ object: 'embedding', index, embedding: encode([text.length, text.charCodeAt(0)]) }))
      .toReversed();
    sendJson(response, 200, {
      object: 'list',
      data,
      model: asked.model,
      usage: { prompt_tokens: inputs.join('').length, total_tokens: inputs.join('').length },
    });
  };
const base64 = (vector: number[]) => Buffer.from(Float32Array.from(vector).buffer).toString('base64');

embeddingEngineContract({ describe, it }, 'another server of embeddings', async () => {
  const backend = await startFakeBackend(embeds());
  const replica = openAiReplica({
    name: 'fake',
    url: backend.url,
    model: fakeModel,
    timeouts: { connect_ms: 1000, headers_ms: 5000, idle_ms: 5000 },
  });
  const own = replica.embeddings as NonNullable<typeof replica.embeddings>;
  return {
    // The replica closes its embeddings.
    engine: {
      name: own.name,
      get status() {
        return own.status;
      },
      ready: own.ready,
      embed: own.embed,
      close: () => replica.close(),
    },
    tooLong: 'a'.repeat(101),
    close: async () => backend[Symbol.asyncDispose](),
  };
});

describe('embeddings of another server', () => {
  it('come in the order of the inputs; its own fields go there', async () => {
    await using backend = await startFakeBackend(embeds());
    await using gateway = await startRemoteGateway([backend.url]);
    const response = await gateway.post(
      '/v1/embeddings',
      { ...body, dimensions: 2, truncate_prompt_tokens: 8, user: 'u', autoglm: { deadline_ms: 5000 } },
      { headers: { 'x-request-id': 'mine' } },
    );
    expect(response.status).toBe(200);
    expect(response.headers.get('x-autoglm-engine')).toBe('fake-0');
    expect(response.headers.get('server-timing')).toContain('upstream;dur=');
    expect(await response.json()).toMatchObject({
      data: [
        { index: 0, embedding: [2, 97] },
        { index: 1, embedding: [1, 99] },
      ],
      usage: { prompt_tokens: 3 },
    });
    expect(backend.requests[0]).toMatchObject({
      path: '/v1/embeddings',
      headers: { 'x-request-id': 'mine' },
      body: { ...body, dimensions: 2, truncate_prompt_tokens: 8, user: 'u' },
    });
    expect(backend.requests[0]?.body).not.toHaveProperty('autoglm');
  });

  it('say why they were slow', async () => {
    const requestsUntilKnown = 10;
    await using backend = await startFakeBackend((response, request) => {
      const until = performance.now() + (backend.requests.length > requestsUntilKnown ? 200 : 0);
      while (performance.now() < until);
      return embeds()(response, request);
    });
    await using gateway = await startRemoteGateway([backend.url]);
    const ask = async () => (await gateway.post('/v1/embeddings', body)).json();
    for (let count = 0; count < requestsUntilKnown; count += 1) await ask();
    expect(await ask()).toMatchObject({
      autoglm: { timings: { total_ms: expect.any(Number) }, bottleneck: { segment: expect.any(String), cause: expect.any(String) } },
    });
  });

  it('are read from base64, and written as the client wants', async () => {
    await using backend = await startFakeBackend(embeds(base64));
    await using gateway = await startRemoteGateway([backend.url]);
    expect(await (await gateway.post('/v1/embeddings', { ...body, encoding_format: 'base64' })).json()).toMatchObject({
      data: [{ embedding: base64([2, 97]) }, { embedding: base64([1, 99]) }],
    });
    expect(await (await gateway.post('/v1/embeddings', body)).json()).toMatchObject({
      data: [{ embedding: [2, 97] }, { embedding: [1, 99] }],
    });
  });

  const wrong: readonly [string, Behaviour, number, string][] = [
    ['too few', (response) => sendJson(response, 200, { data: [] }), 502, 'upstream_error'],
    [
      'one twice',
      (response) =>
        sendJson(response, 200, {
          data: [
            { index: 0, embedding: [1] },
            { index: 0, embedding: [1] },
          ],
        }),
      502,
      'upstream_error',
    ],
    ['no vector', (response) => sendJson(response, 200, { data: [{ embedding: 'x' }, { embedding: null }] }), 502, 'upstream_error'],
    ['empty vectors', (response) => sendJson(response, 200, { data: [{ embedding: [] }, { embedding: [] }] }), 502, 'upstream_error'],
    ['no JSON', (response) => sendJson(response, 200, 'oops'), 502, 'upstream_error'],
    ['a refusal', (response) => sendJson(response, 400, { error: { message: 'no', param: 'input' } }), 400, 'invalid_value'],
    ['no such route', (response) => sendJson(response, 404, {}), 502, 'upstream_error'],
    ['too many requests', (response) => sendJson(response, 429, {}, { 'retry-after': '7' }), 429, 'rate_limit_exceeded'],
    ['a connection that breaks', (response) => void response.destroy(), 502, 'upstream_error'],
  ];
  for (const [name, behaviour, status, code] of wrong) {
    it(`are a typed error where the answer is ${name}`, async () => {
      await using backend = await startFakeBackend(behaviour);
      await using gateway = await startRemoteGateway([backend.url]);
      const response = await gateway.post('/v1/embeddings', body);
      expect([response.status, await response.json()]).toMatchObject([status, { error: { code } }]);
    });
  }

  it('are asked of the next server where one cannot be reached', async () => {
    const gone = await startFakeBackend(embeds());
    await gone[Symbol.asyncDispose]();
    await using backend = await startFakeBackend(embeds());
    await using gateway = await startRemoteGateway([gone.url, backend.url]);
    for (let count = 0; count < 4; count += 1) expect((await gateway.post('/v1/embeddings', body)).status).toBe(200);
    expect(backend.requests).toHaveLength(4);
  });

  it('are not asked of a server that fails at them, until it is tried again', async () => {
    await using broken = await startFakeBackend((response) => sendJson(response, 500, {}));
    await using backend = await startFakeBackend(embeds());
    await using gateway = await startRemoteGateway([broken.url, backend.url], {
      router: { health: { failures: 3, eject_ms: 60_000, eject_max_ms: 60_000 } },
    });
    for (let count = 0; count < 20; count += 1) expect((await gateway.post('/v1/embeddings', body)).status).toBe(200);
    expect([broken.requests.length, backend.requests.length]).toEqual([3, 20]);
  });

  it('go to servers by their weights', async () => {
    await using light = await startFakeBackend(embeds());
    await using heavy = await startFakeBackend(embeds());
    await using gateway = await startRemoteGateway([light.url, heavy.url], { extra: (index) => ({ weight: index === 0 ? 1 : 3 }) });
    for (let count = 0; count < 8; count += 1) expect((await gateway.post('/v1/embeddings', body)).status).toBe(200);
    expect([light.requests.length, heavy.requests.length]).toEqual([2, 6]);
  });

  it('are refused where the only server fails at them, and asked again later', async () => {
    using clock = stopClock();
    await using backend = await startFakeBackend((response) => sendJson(response, 500, {}));
    await using gateway = await startRemoteGateway([backend.url], {
      router: { health: { failures: 2, eject_ms: 1000, eject_max_ms: 1000 } },
    });
    for (let count = 0; count < 2; count += 1)
      expect((await gateway.post('/v1/embeddings', body, { headers: { authorization: `Bearer key-${count}` } })).status).toBe(502);
    const refused = await gateway.post('/v1/embeddings', body);
    expect([refused.status, refused.headers.get('retry-after'), backend.requests.length]).toEqual([503, '1', 2]);
    backend.behave(embeds());
    clock.pass(1000);
    expect((await gateway.post('/v1/embeddings', body)).status).toBe(200);
  });

  it('are not taken from everybody by one key whose texts the only server breaks at', async () => {
    await using backend = await startFakeBackend((response, request) =>
      JSON.stringify(request.body).includes('poison') ? sendJson(response, 500, {}) : embeds()(response, request),
    );
    await using gateway = await startRemoteGateway([backend.url], { router: { health: { eject_ms: 3_600_000, eject_max_ms: 3_600_000 } } });
    const other = { headers: { authorization: 'Bearer other' } };
    expect((await gateway.post('/v1/embeddings', body, other)).status).toBe(200);
    for (let count = 0; count < 12; count += 1)
      expect(
        (await gateway.post('/v1/embeddings', { ...body, input: `poison ${count}` }, { headers: { 'x-autoglm-tenant': `user-${count}` } }))
          .status,
      ).toBe(502);
    expect((await gateway.post('/v1/embeddings', body, other)).status).toBe(200);
  });

  it('end there when the client leaves', async () => {
    await using backend = await startFakeBackend(hang);
    await using gateway = await startRemoteGateway([backend.url]);
    const leaving = new AbortController();
    const left = gateway.post('/v1/embeddings', body, { signal: leaving.signal }).catch(() => 'left');
    await until(() => backend.openCount === 1);
    leaving.abort();
    await left;
    await until(() => backend.openCount === 0);
  });

  it('are not cut here', async () => {
    await using backend = await startFakeBackend(embeds());
    await using gateway = await startRemoteGateway([backend.url]);
    const response = await gateway.post('/v1/embeddings', { ...body, autoglm: { truncate: true } });
    expect([response.status, await response.json()]).toMatchObject([422, { error: { param: 'autoglm.truncate' } }]);
  });
});
