import { classificationEngineContract } from '@open-autoglm/protocol/contract';
import { describe, expect, it } from 'vitest';
import { BatchedClassification } from '../../src/engines/batching/batched-classification.ts';
import { openAiReplica } from '../../src/engines/openai-compatible/index.ts';
import { ConfigError } from '../../src/main.ts';
import { stopClock } from '../stopped-clock.ts';
import { createGate, until } from '../support.ts';
import { fakeModel, hang, sendJson, startFakeBackend, type Behaviour } from '../upstream/fake-backend.ts';
import { startGatewayWith, startRemoteGateway } from '../upstream/support.ts';
import { classifies } from './backend.ts';

const body = { model: fakeModel, input: ['abc', 'd'] };
const batching = { sizeMax: 8, timeoutMs: 60_000, batchShareMin: 0.1 };
const timeouts = { connect_ms: 1000, headers_ms: 5000, idle_ms: 5000 };
const extra = { classify_path: '/classify' };

for (const [name, joined] of [
  ['another server’s classifier', undefined],
  ['another server’s classifier, in batches', batching],
] as const) {
  classificationEngineContract({ describe, it }, name, async () => {
    const backend = await startFakeBackend(classifies);
    const replica = openAiReplica({
      name: 'fake',
      url: backend.url,
      model: fakeModel,
      classifyPath: '/classify',
      batching: joined,
      timeouts,
    });
    const own = replica.classification as NonNullable<typeof replica.classification>;
    expect(own instanceof BatchedClassification).toBe(joined !== undefined);
    return {
      // The replica closes its classifier.
      engine: {
        name: own.name,
        get status() {
          return own.status;
        },
        classify: (request, signal) => own.classify(request, signal),
        close: () => replica.close(),
      },
      refused: 'no!',
      close: async () => backend[Symbol.asyncDispose](),
    };
  });
}

describe('classes by another server', () => {
  it('come in the order of the inputs; its own fields go there, to the path beside /v1', async () => {
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const response = await gateway.post(
      '/v1/classify',
      { ...body, truncate_prompt_tokens: 8, labels: ['theirs'], user: 'u', autoglm: { deadline_ms: 5000 } },
      { headers: { 'x-request-id': 'mine' } },
    );
    expect(response.status).toBe(200);
    expect(response.headers.get('x-autoglm-engine')).toBe('fake-0');
    expect(response.headers.get('server-timing')).toContain('upstream;dur=');
    const answer = await response.json();
    expect(answer).toMatchObject({
      id: 'classify-mine',
      object: 'list',
      model: fakeModel,
      usage: { prompt_tokens: 4, total_tokens: 4, completion_tokens: 0 },
      data: [
        { index: 0, label: 'long', probs: [0.25, 0.75], num_classes: 2 },
        { index: 1, label: 'short', probs: [0.9, 0.1], num_classes: 2 },
      ],
    });
    expect(answer).not.toHaveProperty('autoglm.zero_shot');
    expect(backend.requests[0]).toMatchObject({
      path: '/classify',
      headers: { 'x-request-id': 'mine' },
      body: { ...body, truncate_prompt_tokens: 8, labels: ['theirs'], user: 'u' },
    });
    expect(backend.requests[0]?.body).not.toHaveProperty('autoglm');
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(metrics).toMatch(
      /^autoglm_requests_total\{model_name="fake-model",operation="classification",outcome="answered",status="200",code=""\} 1$/mu,
    );
  });

  it('are not kept, and so refused where nothing may be computed', async () => {
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const refused = await gateway.post('/v1/classify', body, { headers: { 'cache-control': 'only-if-cached' } });
    expect([refused.status, await refused.json(), backend.requests]).toMatchObject([504, { error: { code: 'not_cached' } }, []]);
  });

  it('are asked for at whatever path the server has them', async () => {
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startRemoteGateway([backend.url], { extra: { classify_path: '/v1/classify' } });
    expect((await gateway.post('/v1/classify', body)).status).toBe(200);
    expect(backend.requests[0]?.path).toBe('/v1/classify');
  });

  it('say why they were slow', async () => {
    const requestsUntilKnown = 10;
    await using backend = await startFakeBackend((response, request) => {
      const until = performance.now() + (backend.requests.length > requestsUntilKnown ? 200 : 0);
      while (performance.now() < until);
      return classifies(response, request);
    });
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const ask = async () => (await gateway.post('/v1/classify', body)).json();
    for (let count = 0; count < requestsUntilKnown; count += 1) await ask();
    expect(await ask()).toMatchObject({
      autoglm: { timings: { total_ms: expect.any(Number) }, bottleneck: { segment: expect.any(String), cause: expect.any(String) } },
    });
  });

  it('are of models that are named where another is asked for', async () => {
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startGatewayWith({
      engines: [
        { kind: 'openai', url: backend.url, model: fakeModel, ...extra },
        { kind: 'openai', url: backend.url, model: 'writer' },
      ],
    });
    const messageOf = async (model: string) =>
      ((await (await gateway.post('/v1/classify', { ...body, model })).json()) as { error: { message: string } }).error.message;
    expect(await messageOf('none')).toMatch(/does not exist.*Classifiers: fake-model\.$/);
    expect(await messageOf('writer')).toMatch(
      /has no classifier \(classify_path of its engine\); with labels its embeddings are asked\. Classifiers: fake-model\.$/,
    );
  });

  it('are asked for together while the server works, and each client has its own', async () => {
    const gate = createGate();
    let asked = 0;
    await using backend = await startFakeBackend(async (response, request) => {
      if ((asked += 1) === 1) await gate.passed;
      return classifies(response, request);
    });
    await using gateway = await startRemoteGateway([backend.url], { extra: { ...extra, max_batch_size: 8, batch_timeout_us: 1_000_000 } });
    const ask = async (input: string | string[]) => {
      const response = await gateway.post('/v1/classify', { model: fakeModel, input });
      return {
        status: response.status,
        ...((await response.json()) as { data?: { label: string }[]; usage?: { prompt_tokens: number }; error?: object }),
      };
    };
    const first = ask('a');
    await until(() => backend.requests.length === 1);
    const others = [ask(['bb', 'ccc']), ask('dddd'), ask('no!')];
    await until(async () => /^autoglm_active_requests 4$/mu.test(await (await fetch(`${gateway.url}/metrics`)).text()));
    gate.open();
    expect((await first).status).toBe(200);
    const [two, one, refused] = await Promise.all(others);
    expect([two?.data?.map(({ label }) => label), two?.usage?.prompt_tokens]).toEqual([['short', 'long'], 5]);
    expect([one?.data?.map(({ label }) => label), one?.usage?.prompt_tokens]).toEqual([['long'], 4]);
    expect([refused?.status, refused?.error]).toMatchObject([400, { message: 'no exclamation' }]);
    // The first, the others together, and each of them by itself, because one was refused.
    expect(backend.requests.map(({ body: { input } }) => [input].flat().length).toSorted()).toEqual([1, 1, 1, 2, 4]);
  });

  const wrong: readonly [string, Behaviour, number, string, string?][] = [
    ['too few', (response) => sendJson(response, 200, { data: [] }), 502, 'upstream_error'],
    [
      'one twice',
      (response) =>
        sendJson(response, 200, {
          data: [
            { index: 0, probs: [1] },
            { index: 0, probs: [1] },
          ],
        }),
      502,
      'upstream_error',
    ],
    [
      'no probabilities',
      (response) => sendJson(response, 200, { data: [{ label: 'x' }, { label: 'y', probs: ['1'] }] }),
      502,
      'upstream_error',
    ],
    [
      'a probability without an end',
      (response) => sendJson(response, 200, '{"data": [{"probs": [1]}, {"probs": [1e999]}]}'),
      502,
      'upstream_error',
    ],
    ['nothing', (response) => sendJson(response, 200, { data: [null, null] }), 502, 'upstream_error', 'sent classes that are none'],
    ['numbers', (response) => sendJson(response, 200, { data: [1, 2] }), 502, 'upstream_error', 'sent classes that are none'],
    [
      'in places that are none',
      (response) =>
        sendJson(response, 200, {
          data: [
            { index: 'length', probs: [1] },
            { index: 1, probs: [1] },
          ],
        }),
      502,
      'upstream_error',
      'numbered its classes wrongly',
    ],
    [
      'an error with a good status',
      (response) => sendJson(response, 200, { error: { message: 'no', code: 400 } }),
      400,
      'invalid_value',
      'no',
    ],
    ['no such route', (response) => sendJson(response, 404, {}), 502, 'upstream_error'],
    ['too many requests', (response) => sendJson(response, 429, {}, { 'retry-after': '7' }), 429, 'rate_limit_exceeded'],
    ['a connection that breaks', (response) => void response.destroy(), 502, 'upstream_error'],
  ];
  for (const [name, behaviour, status, code, message = ''] of wrong) {
    it(`are a typed error where the answer is ${name}`, async () => {
      await using backend = await startFakeBackend(behaviour);
      await using gateway = await startRemoteGateway([backend.url], { extra });
      const response = await gateway.post('/v1/classify', body);
      expect([response.status, await response.json()]).toMatchObject([
        status,
        { error: { code, message: expect.stringContaining(message) } },
      ]);
    });
  }

  it.each(['"12"', '-5', '1e308', '1e999', '1.5', '{}'])(
    'are told without their tokens where those are said to be %s, and are charged as they were estimated',
    async (tokens) => {
      await using backend = await startFakeBackend((response) =>
        sendJson(response, 200, `{"data": [{"probs": [1]}, {"probs": [1]}], "usage": {"prompt_tokens": ${tokens}}}`),
      );
      await using gateway = await startRemoteGateway([backend.url], { extra });
      const response = await gateway.post('/v1/classify', body);
      expect([response.status, await response.json()]).toMatchObject([200, { usage: { prompt_tokens: 0 } }]);
      const metrics = await fetch(`${gateway.url}/metrics`);
      expect([metrics.status, await metrics.text()]).toEqual([
        200,
        expect.stringContaining('operation="classification",outcome="answered"'),
      ]);
    },
  );

  it('are asked for once more where a kept connection was closed', async () => {
    // However busy the machine, what is closed at once is.
    using _clock = stopClock();
    const known = new WeakSet<object>();
    let isClosed = false;
    await using backend = await startFakeBackend((response, request) => {
      const socket = response.socket as object;
      isClosed = known.has(socket) && !isClosed;
      if (isClosed) return void response.destroy();
      known.add(socket);
      return classifies(response, request);
    });
    await using gateway = await startRemoteGateway([backend.url], { extra });
    for (let count = 0; count < 6; count += 1) expect((await gateway.post('/v1/classify', body)).status).toBe(200);
    expect(backend.requests.length).toBeGreaterThan(6);
  });

  it('are asked of the next server where one fails, and of none that is ejected', async () => {
    await using broken = await startFakeBackend((response) => sendJson(response, 500, {}));
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startRemoteGateway([broken.url, backend.url], {
      extra,
      router: { health: { failures: 3, eject_ms: 60_000, eject_max_ms: 60_000 } },
    });
    for (let count = 0; count < 12; count += 1) expect((await gateway.post('/v1/classify', body)).status).toBe(200);
    expect([broken.requests.length, backend.requests.length]).toEqual([3, 12]);
  });

  it('are not taken from everybody by one key whose texts the only server breaks at', async () => {
    await using backend = await startFakeBackend((response, request) =>
      JSON.stringify(request.body).includes('poison') ? sendJson(response, 500, {}) : classifies(response, request),
    );
    await using gateway = await startRemoteGateway([backend.url], {
      extra,
      router: { health: { eject_ms: 3_600_000, eject_max_ms: 3_600_000 } },
    });
    const other = { headers: { authorization: 'Bearer other' } };
    expect((await gateway.post('/v1/classify', body, other)).status).toBe(200);
    for (let count = 0; count < 12; count += 1)
      expect((await gateway.post('/v1/classify', { ...body, input: `poison ${count}` })).status).toBe(502);
    expect((await gateway.post('/v1/classify', body, other)).status).toBe(200);
  });

  it('end there when the client leaves', async () => {
    await using backend = await startFakeBackend(hang);
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const leaving = new AbortController();
    const left = gateway.post('/v1/classify', body, { signal: leaving.signal }).catch(() => 'left');
    await until(() => backend.openCount === 1);
    leaving.abort();
    await left;
    await until(() => backend.openCount === 0);
  });

  it('have a path that is one, and are not cut here', async () => {
    await expect(
      startGatewayWith({ engines: [{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm', classify_path: 'classify' }] }),
    ).rejects.toThrow(ConfigError);
    await expect(
      startGatewayWith({ engines: [{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm', classify_path: 'classify' }] }),
    ).rejects.toThrow('classify_path');
    await using backend = await startFakeBackend(classifies);
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const response = await gateway.post('/v1/classify', { ...body, autoglm: { truncate: true } });
    expect([response.status, await response.json()]).toMatchObject([422, { error: { param: 'autoglm.truncate' } }]);
  });
});
