import { describe, expect, it } from 'vitest';
import { chat, chatBody as remoteBody, startRemoteGateway } from '../upstream/support.ts';
import { hang, say, startFakeBackend } from '../upstream/fake-backend.ts';
import { chatBody, createGate, startTestServer, until } from '../support.ts';

describe('lanes', () => {
  it('are chosen in the body or by a header, and reach the engine', async () => {
    await using server = await startTestServer();
    await server.post(chat, { ...chatBody, autoglm: { lane: 'batch' } });
    await server.post(chat, chatBody, { headers: { 'x-autoglm-lane': 'batch' } });
    await server.post(chat, { ...chatBody, autoglm: { lane: 'realtime' } }, { headers: { 'x-autoglm-lane': 'batch' } });
    await server.post(chat, { ...chatBody, autoglm: { lane: null } });
    expect(server.engine.requests.map(({ standing }) => standing?.lane)).toEqual(['batch', 'batch', 'realtime', 'realtime']);
    const refused = await server.post(chat, chatBody, { headers: { 'x-autoglm-lane': 'slow' } });
    expect([refused.status, ((await refused.json()) as { error: { param: string } }).error.param]).toEqual([400, 'x-autoglm-lane']);
  });

  it('real time goes before batch that has waited longer', async () => {
    const gate = createGate();
    await using server = await startTestServer({ beforeToken: () => gate.passed }, {}, { max_batch_size: 1, max_queue: 8 });
    const post = (content: string, lane: string) =>
      server.post(chat, { ...chatBody, messages: [{ role: 'user', content }], autoglm: { lane } });
    const running = [post('a', 'realtime'), post('b', 'realtime')];
    await until(() => server.engine.runningCount === 2);
    // The batch lane's share is one place: it has it.
    running.push(post('c', 'batch'));
    await until(() => server.engine.runningCount === 3);
    running.push(post('d', 'batch'));
    await until(async () => (await metric(server.url, 'autoglm_admission_waiting{model_name="default",lane="batch"}')) === 1);
    running.push(post('e', 'realtime'));
    await until(async () => (await metric(server.url, 'autoglm_admission_waiting{model_name="default",lane="realtime"}')) === 1);
    gate.open();
    for (const answer of running) expect((await answer).status).toBe(200);
    const asked = server.engine.requests.map(({ prompt }) =>
      'segments' in prompt
        ? prompt.segments
            .map(({ text }) => text)
            .join('')
            .match(/user\n(\w)/)?.[1]
        : '',
    );
    expect(asked.slice(0, 3)).toEqual(['a', 'b', 'c']);
    expect(new Set(asked.slice(3))).toEqual(new Set(['d', 'e']));
  });

  it('are bounded apart: a full batch lane refuses nobody in real time', async () => {
    const gate = createGate();
    await using server = await startTestServer({ beforeToken: () => gate.passed }, {}, { max_batch_size: 1, max_queue: 1 });
    const batch = [0, 1].map(() => server.post(chat, { ...chatBody, autoglm: { lane: 'batch' } }));
    await until(() => server.engine.runningCount === 2);
    const refused = await server.post(chat, { ...chatBody, autoglm: { lane: 'batch' } });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    const realtime = server.post(chat, chatBody);
    await until(() => server.engine.runningCount === 3);
    gate.open();
    expect((await Promise.all([...batch, realtime])).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await metric(server.url, 'autoglm_admission_refused_total{model_name="default",lane="batch",code="queue_full"}')).toBe(1);
  });
});

describe('another server', () => {
  it('is sent fewer at once when its first parts take longer the more there are, and all are answered', async () => {
    await using backend = await startFakeBackend();
    // Eight at once, one after the other beyond that.
    backend.behave(
      (response, request) =>
        new Promise((resolve) => setTimeout(() => resolve(say()(response, request)), 20 * Math.max(1, backend.openCount / 8))),
    );
    await using server = await startRemoteGateway([backend.url], {
      admission: { concurrency: { adaptive: true, initial: 64, tolerance_ms: 0 } },
    });
    const statuses = new Set<number>();
    const over = new AbortController();
    const ask = async () => {
      while (!over.signal.aborted) {
        const response = await server.post(chat, { ...remoteBody, stream: true });
        await response.text();
        statuses.add(response.status);
      }
    };
    const clients = Array.from({ length: 80 }, ask);
    const limit = () => metric(server.url, 'autoglm_admission_limit{model_name="fake-model",engine="fake-0"}');
    await until(async () => (await limit()) < 36 && (await limit()) > 0);
    over.abort();
    await Promise.all(clients);
    expect(statuses).toEqual(new Set([200]));
  });

  it('refuses at once what could not be complete by its deadline', async () => {
    await using backend = await startFakeBackend();
    backend.behave((response, request) => new Promise((resolve) => setTimeout(() => resolve(say()(response, request)), 50)));
    await using server = await startRemoteGateway([backend.url], { extra: { max_outstanding: 1 } });
    for (let count = 0; count < 8; count += 1) expect((await server.post(chat, { ...remoteBody, stream: true })).status).toBe(200);
    const gate = createGate();
    backend.behave(async (response, request) => {
      await gate.passed;
      await say()(response, request);
    });
    const patient = Array.from({ length: 4 }, () => server.post(chat, { ...remoteBody, stream: true }));
    await until(async () => (await metric(server.url, 'autoglm_admission_waiting{model_name="fake-model",lane="realtime"}')) === 3);
    const refused = await server.post(chat, { ...remoteBody, autoglm: { deadline_ms: 20 } });
    expect([
      refused.status,
      ((await refused.json()) as { error: { code: string } }).error.code,
      refused.headers.get('retry-after'),
    ]).toEqual([429, 'deadline_unreachable', '1']);
    gate.open();
    for (const answer of patient) expect((await answer).status).toBe(200);
  });
});

describe('a client that leaves while it waits', () => {
  it('frees its place in the queue at once', async () => {
    await using backend = await startFakeBackend(hang);
    await using server = await startRemoteGateway([backend.url], { extra: { max_outstanding: 1 }, admission: { max_queue: 1 } });
    const running = new AbortController();
    const waiting = new AbortController();
    const first = server.post(chat, remoteBody, { signal: running.signal }).catch(() => 'left');
    await until(() => backend.openCount === 1);
    const second = server.post(chat, remoteBody, { signal: waiting.signal }).catch(() => 'left');
    const waits = () => metric(server.url, 'autoglm_admission_waiting{model_name="fake-model",lane="realtime"}');
    await until(async () => (await waits()) === 1);
    waiting.abort();
    await until(async () => (await waits()) === 0);
    backend.behave(say());
    const third = server.post(chat, remoteBody);
    await until(async () => (await waits()) === 1);
    running.abort();
    expect((await third).status).toBe(200);
    expect([await first, await second]).toEqual(['left', 'left']);
    await until(async () => (await metric(server.url, 'autoglm_admission_running{model_name="fake-model",lane="realtime"}')) === 0);
  });

  it('is told why it waited, in Server-Timing', async () => {
    const gate = createGate();
    await using server = await startTestServer({ beforeToken: () => gate.passed }, {}, { max_batch_size: 1, max_queue: 4 });
    const answers = [0, 1, 2].map(() => server.post(chat, chatBody));
    await until(async () => (await metric(server.url, 'autoglm_admission_waiting{model_name="default",lane="realtime"}')) === 1);
    gate.open();
    for (const answer of answers) expect((await answer).headers.get('server-timing')).toMatch(/queue;dur=/);
  });
});

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}
