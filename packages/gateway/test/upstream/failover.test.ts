import { describe, expect, it } from 'vitest';
import { stopClock } from '../stopped-clock.ts';
import { createGate } from '../support.ts';
import { startBackendProcess } from './backend-process.ts';
import { begin, fakeModel, hang, listModels, say, sendJson, startFakeBackend, type Behaviour, type FakeBackend } from './fake-backend.ts';
import { chat, chatBody, chunksOf, startRemoteGateway, textOf, until, type RemoteGateway } from './support.ts';

const streamed = { ...chatBody, stream: true };
const quickProbes = { probe_interval_ms: 20, probe_timeout_ms: 200, probe_failures: 3 };
const asking = (content: string) => ({ ...chatBody, messages: [{ role: 'user', content }] });
const keyed = (key: string | number) => ({ headers: { authorization: `Bearer key-${key}` } });
/** Longer than any test, and nobody is out for having been slow on a busy machine. */
const ejectsForLong = { eject_ms: 3_600_000, eject_max_ms: 3_600_000, slow_factor: 0 };

/** Asks so many times at once; everybody must get the whole answer. Says who answered. */
async function askMany(server: RemoteGateway, count: number, body: object = streamed): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const response = await server.post(chat, body);
      expect(response.status).toBe(200);
      expect(textOf(chunksOf(await response.text()))).toBe('Hello, world!');
      return response.headers.get('x-autoglm-engine') as string;
    }),
  );
}

async function startBackends(count: number): Promise<FakeBackend[] & AsyncDisposable> {
  const backends = await Promise.all(Array.from({ length: count }, () => startFakeBackend()));
  return Object.assign(backends, {
    [Symbol.asyncDispose]: async () => void (await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()))),
  });
}

const urlsOf = (backends: readonly { readonly url: string }[]) => backends.map(({ url }) => url);
const engineStates = async (server: RemoteGateway) =>
  ((await server.get('/readyz')).body['engines'] as { name: string; status: string }[]).map(({ status }) => status);

/** [what one of three does, how] */
const failing: readonly (readonly [string, Behaviour])[] = [
  ['resets connections', (response) => void response.socket?.resetAndDestroy()],
  ['half closes them', (response) => void response.socket?.end()],
  ['fails with status 500', (response) => sendJson(response, 500, 'oops')],
  ['is busy', (response) => sendJson(response, 503, { error: { message: 'loading' } })],
  ['wants a pause', (response) => sendJson(response, 429, { error: { message: 'slow down' } }, { 'retry-after': '30' })],
  ['has lost its key', (response) => sendJson(response, 401, {})],
  ['streams garbage', (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: ]\n\n')],
  ['streams nothing', (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end()],
  [
    'streams an error',
    (response) =>
      void response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"error":{"message":"out of memory"}}\n\n'),
  ],
];

describe('of three engines, one that', () => {
  it.each(failing)('%s fails no request, and is soon left alone', async (_, behaviour) => {
    await using backends = await startBackends(3);
    backends[1]?.behave(behaviour);
    await using server = await startRemoteGateway(urlsOf(backends), { router: { balance: 'round_robin', health: ejectsForLong } });
    for (let round = 0; round < 4; round += 1) expect(await askMany(server, 10)).not.toContain('fake-1');
    // At most those of the first round, which nobody could know better for.
    expect(backends[1]?.requests.length).toBeLessThanOrEqual(5);
  });

  it('hangs fails no request once its time is up', async () => {
    await using backends = await startBackends(3);
    backends[0]?.behave(hang);
    await using server = await startRemoteGateway(urlsOf(backends), {
      extra: (index) => (index === 0 ? { timeouts: { headers_ms: 100 } } : {}),
    });
    expect(await askMany(server, 6)).not.toContain('fake-0');
  });

  it('is killed fails no request', async () => {
    await using backends = await startBackends(2);
    await using victim = await startBackendProcess();
    await using server = await startRemoteGateway([...urlsOf(backends), victim.url], {
      router: { balance: 'round_robin', health: { probe_interval_ms: 20, slow_factor: 0 } },
    });
    expect(new Set(await askMany(server, 12))).toEqual(new Set(['fake-0', 'fake-1', 'fake-2']));
    const asking = askMany(server, 12);
    victim.kill('SIGKILL');
    await asking;
    expect(await askMany(server, 12)).not.toContain('fake-2');
    await until(async () => (await engineStates(server))[2] === 'unreachable');
    expect((await server.get('/readyz')).status).toBe(200);
  });

  it('is frozen loses its waiting requests to the others when its probes fail, and comes back when it thaws', async () => {
    await using backends = await startBackends(2);
    await using victim = await startBackendProcess();
    await using server = await startRemoteGateway([...urlsOf(backends), victim.url], {
      router: { balance: 'round_robin', health: { ...quickProbes, eject_ms: 1 } },
    });
    await until(async () => (await engineStates(server)).every((state) => state === 'ready'));
    victim.kill('SIGSTOP');
    expect(await askMany(server, 12)).not.toContain('fake-2');
    expect(await askMany(server, 3)).not.toContain('fake-2');
    victim.kill('SIGCONT');
    await until(async () => (await askMany(server, 3)).includes('fake-2'));
  });

  it('ends what it has begun, and takes nothing new, keeps its waiting requests', async () => {
    await using backends = await startBackends(2);
    const [ending, other] = backends as FakeBackend[] as [FakeBackend, FakeBackend];
    const gate = createGate();
    ending.behave(async (response, request) => {
      await gate.passed;
      await say(['from the first'])(response, request);
    });
    await using server = await startRemoteGateway(urlsOf(backends), {
      router: { balance: 'round_robin', health: { ...quickProbes, probe_failures: 1 } },
    });
    await until(async () => (await server.get('/readyz')).status === 200);
    const waiting = server.post(chat, chatBody);
    await until(() => ending.openCount === 1);
    ending.stopListening();
    expect(await askMany(server, 3)).not.toContain('fake-0');
    await until(async () => (await engineStates(server))[0] === 'unreachable');
    gate.open();
    expect(await (await waiting).json()).toMatchObject({ choices: [{ message: { content: 'from the first' } }] });
    expect(other.requests).toHaveLength(3);
  });

  it('is slow gets no more requests', async () => {
    using clock = stopClock();
    await using backends = await startBackends(3);
    let answered = 0;
    // Its fellows have taken no time when 60 ms pass that it alone takes.
    backends[2]?.behave(async (response, request) => {
      await until(() => answered === 2);
      clock.pass(60);
      await say()(response, request);
    });
    await using server = await startRemoteGateway(urlsOf(backends), {
      router: { balance: 'round_robin', health: { ...ejectsForLong, slow_factor: 3 } },
    });
    for (let round = 0; round < 12; round += 1) {
      answered = 0;
      await Promise.all(
        [0, 1, 2].map(async () => {
          await askMany(server, 1);
          answered += 1;
        }),
      );
    }
    // As many as it takes to know it.
    expect(backends[2]?.requests).toHaveLength(10);
    expect(await askMany(server, 12)).not.toContain('fake-2');
  });
});

it.each([true, false])('an engine that was asked for much once gets requests as before (stream: %s)', async (stream) => {
  using clock = stopClock();
  const takes =
    (milliseconds: number): Behaviour =>
    (response, request) => {
      clock.pass(milliseconds);
      return say()(response, request);
    };
  await using backends = await startBackends(2);
  await using server = await startRemoteGateway(urlsOf(backends), {
    router: { balance: 'round_robin', health: { ...ejectsForLong, slow_factor: 5 } },
  });
  const ask = async (milliseconds: number) => {
    for (const backend of backends) backend.behave(takes(milliseconds));
    return (await server.post(chat, { ...chatBody, stream })).headers.get('x-autoglm-engine');
  };
  for (let count = 0; count < 24; count += 1) await ask(100);
  await ask(20_000);
  expect(new Set([await ask(100), await ask(100)])).toEqual(new Set(['fake-0', 'fake-1']));
});

describe('a failure after the first part', () => {
  it("is the answer's, and marked", async () => {
    await using backends = await startBackends(2);
    for (const backend of backends) {
      backend.behave((response) => {
        begin(response).delta({ content: 'Hel' });
        setImmediate(() => response.socket?.resetAndDestroy());
      });
    }
    await using server = await startRemoteGateway(urlsOf(backends));
    const chunks = chunksOf(await (await server.post(chat, streamed)).text());
    expect(textOf(chunks)).toBe('Hel');
    expect(chunks.at(-1)?.error).toMatchObject({ code: 'upstream_error' });
    expect(backends[0]!.requests.length + backends[1]!.requests.length).toBe(1);
  });
});

describe('when nobody can answer', () => {
  it('a request is refused with the last failure, after tries_max of them', async () => {
    await using backends = await startBackends(4);
    for (const backend of backends) backend.behave((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway(urlsOf(backends), { router: { tries_max: 2 } });
    const response = await server.post(chat, chatBody);
    expect(response.status).toBe(502);
    expect(backends.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(2);
  });

  it("an answer that is too large in one piece is nobody's failure, and is not asked for again", async () => {
    await using backends = await startBackends(2);
    const text = 'x'.repeat(33 * 1024 * 1024);
    for (const backend of backends)
      backend.behave((response) =>
        sendJson(response, 200, { choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }] }),
      );
    await using server = await startRemoteGateway(urlsOf(backends), { router: { health: ejectsForLong } });
    for (let count = 0; count < 8; count += 1) {
      const response = await server.post(chat, chatBody);
      expect([response.status, await response.json()]).toMatchObject([422, { error: { code: 'request_unprocessable' } }]);
    }
    expect(backends.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(8);
    for (const backend of backends) backend.behave(say());
    expect(new Set(await askMany(server, 8))).toEqual(new Set(['fake-0', 'fake-1']));
  });

  it('retries stay within their budget', async () => {
    await using backends = await startBackends(2);
    for (const backend of backends) backend.behave((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway(urlsOf(backends), {
      router: { retries: { ratio: 0, per_second: 0 }, health: { failures: 1000 } },
    });
    for (let count = 0; count < 150; count += 1) await (await server.post(chat, chatBody)).text();
    // 100 are kept for bad moments.
    expect(backends.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(250);
  });

  it('a lone engine is left alone for a while, and tried again', async () => {
    using clock = stopClock();
    await using backend = await startFakeBackend((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway([backend.url], { router: { health: { eject_ms: 1000, eject_max_ms: 1000 } } });
    for (let count = 0; count < 3; count += 1) expect((await server.post(chat, chatBody, keyed(count))).status).toBe(502);
    const refused = await server.post(chat, chatBody);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(backend.requests).toHaveLength(3);
    backend.behave(say());
    clock.pass(999);
    expect((await server.post(chat, chatBody)).status).toBe(503);
    clock.pass(1);
    expect((await server.post(chat, chatBody)).status).toBe(200);
    await askMany(server, 5);
  });

  it('a lone engine is not taken from everybody by one key, whatever questions of that it breaks at, and under whatever names', async () => {
    await using backend = await startFakeBackend((response, request) =>
      JSON.stringify(request.body).includes('poison') ? sendJson(response, 500, 'oops') : say()(response, request),
    );
    await using server = await startRemoteGateway([backend.url], { router: { health: ejectsForLong } });
    expect((await server.post(chat, chatBody, keyed('b'))).status).toBe(200);
    for (let count = 0; count < 12; count += 1)
      expect((await server.post(chat, { ...asking(`poison ${count}`), autoglm: { tenant: `user ${count}` } }, keyed('a'))).status).toBe(
        502,
      );
    expect((await server.post(chat, chatBody, keyed('b'))).status).toBe(200);
  });

  it('a lone engine that one key alone asks rests when it breaks at three of its questions, and at none that is asked again', async () => {
    await using backend = await startFakeBackend((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway([backend.url], { router: { health: ejectsForLong } });
    for (const question of ['a', 'a', 'a', 'a', 'b', 'c']) expect((await server.post(chat, asking(question))).status).toBe(502);
    expect((await server.post(chat, chatBody)).status).toBe(503);
  });

  it.each([400, 413, 415, 422])('a lone engine that refuses what it is asked with %i has answered, whoever asks', async (status) => {
    await using backend = await startFakeBackend((response, request) =>
      JSON.stringify(request.body).includes('bad') ? sendJson(response, status, { error: { message: 'no' } }) : say()(response, request),
    );
    await using server = await startRemoteGateway([backend.url], { router: { health: { ...ejectsForLong, failures: 1 } } });
    for (let count = 0; count < 3; count += 1) expect((await server.post(chat, asking(`bad ${count}`), keyed(count))).status).toBe(status);
    expect((await server.post(chat, chatBody)).status).toBe(200);
  });

  it('a lone engine that says nothing is left alone, whoever has asked: the next one would wait as long for nothing', async () => {
    await using backend = await startFakeBackend(hang);
    await using server = await startRemoteGateway([backend.url], {
      extra: { timeouts: { headers_ms: 50 } },
      router: { health: ejectsForLong },
    });
    for (let count = 0; count < 3; count += 1) expect((await server.post(chat, asking(`question ${count}`))).status).toBe(504);
    expect((await server.post(chat, chatBody)).status).toBe(503);
  });

  it('a lone engine that is tried again by a key at whose questions it broke before is tried with the next one at once', async () => {
    using clock = stopClock();
    let isBroken = true;
    await using backend = await startFakeBackend((response, request) =>
      isBroken || JSON.stringify(request.body).includes('poison') ? sendJson(response, 500, 'oops') : say()(response, request),
    );
    await using server = await startRemoteGateway([backend.url], { router: { health: { eject_ms: 1000, eject_max_ms: 60_000 } } });
    for (const key of ['a', 'b', 'c']) expect((await server.post(chat, asking('poison'), keyed(key))).status).toBe(502);
    isBroken = false;
    expect((await server.post(chat, chatBody, keyed('d'))).status).toBe(503);
    clock.pass(1000);
    expect((await server.post(chat, asking('more poison'), keyed('a'))).status).toBe(502);
    expect((await server.post(chat, chatBody, keyed('d'))).status).toBe(200);
  });

  it.each([true, false])('engines that were all ejected, and answer their probes, are asked all the same: %s', async (panic) => {
    await using backends = await startBackends(3);
    for (const backend of backends) backend.behave((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway(urlsOf(backends), {
      router: { tries_max: 1, health: { ...ejectsForLong, failures: 2, panic } },
    });
    for (let count = 0; count < 6; count += 1) expect((await server.post(chat, chatBody)).status).toBe(502);
    for (const backend of backends) backend.behave(say());
    const statuses: number[] = [];
    for (let count = 0; count < 9; count += 1) statuses.push((await server.post(chat, chatBody)).status);
    expect(statuses).toEqual(Array.from({ length: 9 }, () => (panic ? 200 : 503)));
  });

  it('one that has all that it takes refuses with 429', async () => {
    await using backend = await startFakeBackend(hang);
    await using server = await startRemoteGateway([backend.url], { extra: { max_outstanding: 2 }, admission: { max_queue: 1 } });
    const leaving = new AbortController();
    const waiting = [0, 1, 2].map(() => server.post(chat, chatBody, { signal: leaving.signal }).catch(() => {}));
    await until(async () =>
      (await (await fetch(`${server.url}/metrics`)).text()).includes(
        'autoglm_admission_waiting{model_name="fake-model",lane="realtime"} 1',
      ),
    );
    expect(backend.openCount).toBe(2);
    const refused = await server.post(chat, chatBody);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    leaving.abort();
    await Promise.all(waiting);
    backend.behave(say());
    await until(async () => (await server.post(chat, chatBody)).status === 200);
  });
});

describe('an engine that comes back', () => {
  it.each([
    [chat, chatBody],
    ['/v1/embeddings', { model: fakeModel, input: 'a' }],
  ])('is asked as soon as its probe is answered, however long it was to be left alone: %s', async (route, body) => {
    const answers: Behaviour = (response, request) =>
      route === chat ? say()(response, request) : sendJson(response, 200, { data: [{ index: 0, embedding: [1] }] });
    const gone = await startFakeBackend(answers);
    await using server = await startRemoteGateway([gone.url], { router: { health: { ...quickProbes, ...ejectsForLong } } });
    await until(async () => (await server.get('/readyz')).status === 200);
    await gone[Symbol.asyncDispose]();
    expect((await server.post(route, body)).status).toBe(502);
    await until(async () => (await engineStates(server))[0] === 'unreachable');
    expect((await server.post(route, body)).status).toBe(503);
    await using _back = await startFakeBackend(answers, gone.port);
    await until(async () => (await server.get('/readyz')).status === 200);
    expect((await server.post(route, body)).status).toBe(200);
  });

  it('is asked again though what it had begun was answered meanwhile, which makes it no news that it is ready', async () => {
    const gate = createGate();
    const ending = await startFakeBackend(async (response, request) => {
      await gate.passed;
      await say()(response, request);
    });
    await using server = await startRemoteGateway([ending.url], {
      router: { health: { ...quickProbes, probe_failures: 100, ...ejectsForLong } },
    });
    await until(async () => (await server.get('/readyz')).status === 200);
    const waiting = server.post(chat, chatBody);
    await until(() => ending.openCount === 1);
    ending.stopListening();
    expect((await server.post(chat, chatBody)).status).toBe(502);
    gate.open();
    expect((await waiting).status).toBe(200);
    expect(await engineStates(server)).toEqual(['ready']);
    await ending[Symbol.asyncDispose]();
    await using _back = await startFakeBackend(say(), ending.port);
    await until(async () => (await server.post(chat, chatBody)).status === 200);
  });

  it('is given those that wait for another one', async () => {
    await using backends = await startBackends(2);
    const [busy, gone] = backends as FakeBackend[] as [FakeBackend, FakeBackend];
    busy.behave(hang);
    gone.list((response) => sendJson(response, 500, 'oops'));
    await using server = await startRemoteGateway(urlsOf(backends), { extra: { max_outstanding: 1 }, router: { health: quickProbes } });
    await until(async () => (await engineStates(server)).includes('unreachable'));
    const leaving = new AbortController();
    const first = server.post(chat, streamed, { signal: leaving.signal }).catch(() => {});
    await until(() => busy.openCount === 1);
    const second = server.post(chat, streamed);
    await until(async () =>
      (await (await fetch(`${server.url}/metrics`)).text()).includes(
        'autoglm_admission_waiting{model_name="fake-model",lane="realtime"} 1',
      ),
    );
    gone.list(listModels);
    expect((await second).headers.get('x-autoglm-engine')).toBe('fake-1');
    leaving.abort();
    await first;
  });
});

describe('what other programs see of several engines', () => {
  it('is who is ready, what they serve, and who answered', async () => {
    await using backends = await startBackends(2);
    await using server = await startRemoteGateway(urlsOf(backends));
    await until(async () => (await server.get('/readyz')).status === 200);
    expect((await server.get('/readyz')).body['engines']).toMatchObject([
      { name: 'fake-0', model: fakeModel, tier: 'cloud', status: 'ready' },
      { name: 'fake-1', model: fakeModel, tier: 'cloud', status: 'ready' },
    ]);
    expect((await server.get('/v1/models')).body['data']).toMatchObject([
      {
        id: fakeModel,
        owned_by: 'vllm',
        created: 1_700_000_000,
        autoglm: { context_length: 4096, engines: [{ name: 'fake-0' }, { name: 'fake-1' }] },
      },
    ]);
    expect(await (await server.post(chat, { ...chatBody, model: 'default' })).json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining(fakeModel) },
    });
  });

  it('is a server that is not ready before its engines are known, and stays so when all are gone', async () => {
    const backend = await startFakeBackend();
    const asked = Promise.withResolvers<Parameters<Behaviour>[0]>();
    backend.list((response) => asked.resolve(response));
    await using server = await startRemoteGateway([backend.url], { router: { health: { ...quickProbes, probe_timeout_ms: 5000 } } });
    const held = await asked.promise;
    expect((await server.get('/readyz')).status).toBe(503);
    backend.list((response) => sendJson(response, 200, { data: [] }));
    sendJson(held, 200, { data: [] });
    await until(async () => (await server.get('/readyz')).status === 200);
    await backend[Symbol.asyncDispose]();
    await until(async () => (await server.get('/readyz')).status === 503);
  });
});
