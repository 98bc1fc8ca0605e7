import { AutoglmError } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultConfig, type MockScript } from '../../../src/main.ts';
import { watchEngines, type EngineChange } from '../../../src/observability/logs/engine-watch.ts';
import { chatBody, startTestServer, until, type TestServer } from '../../support.ts';
import { startCollector } from '../traces/collector.ts';
import { linesOf, logsTo, makeFolder, openTestLogs, type Line, type LogsConfig } from './support.ts';

const chat = '/v1/chat/completions';

/** What is in the log when the server has drained. */
async function logOf(
  ask: (server: TestServer) => Promise<unknown>,
  logs: Partial<LogsConfig> = {},
  script: MockScript = {},
): Promise<Line[]> {
  using folder = makeFolder();
  const server = await startTestServer(script, {}, {}, { logs: logsTo(folder.file('log'), logs), diagnosis: { enabled: false } });
  await ask(server);
  await server.gateway.drain();
  return linesOf(folder.file('log'));
}

const post =
  (body: unknown, headers: Record<string, string> = {}) =>
  async (server: TestServer) =>
    (await server.post(chat, body, { headers })).text();
const requestsIn = (lines: readonly Line[]) => lines.filter(({ msg }) => msg === 'request');

describe('the line of a request', () => {
  it('says what was asked, answered, and where the time went', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const lines = await logOf(post({ ...chatBody, stream: true, max_tokens: 3 }, { 'x-request-id': 'one', traceparent }));
    expect(requestsIn(lines)).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        msg: 'request',
        request_id: 'one',
        trace_id: '0af7651916cd43dd8448eb211c80319c',
        operation: 'chat',
        model: 'default',
        stream: true,
        status: 200,
        outcome: 'answered',
        engine: 'mock',
        tier: 'edge',
        finish_reasons: ['length'],
        prompt_tokens: expect.any(Number),
        cached_tokens: 0,
        completion_tokens: 3,
        ttft_ms: expect.any(Number),
        tpot_ms: expect.any(Number),
        total_ms: expect.any(Number),
        segments_ms: expect.objectContaining({ prefill: expect.any(Number) }),
      },
    ]);
  });

  it('is a warning where the server failed, and says where without what', async () => {
    const script: MockScript = {
      beforeToken: () => {
        throw new TypeError('cannot read 你好, said the client');
      },
    };
    const [line] = requestsIn(await logOf(post(chatBody), {}, script));
    expect(line).toMatchObject({
      level: 'warn',
      status: 500,
      code: 'internal_error',
      error: { name: 'TypeError', frames: expect.arrayContaining([expect.stringMatching(/^at .*logs\.test\.ts/)]) },
    });
    expect(JSON.stringify(line)).not.toContain('你好');
  });

  it('is there for requests that were refused or abandoned', async () => {
    const lines = await logOf(
      async (server) => {
        await post({ model: 'default' })(server);
        const leaving = new AbortController();
        const asked = server.post(chat, chatBody, { signal: leaving.signal }).catch(() => {});
        await until(() => server.engine.runningCount === 1);
        leaving.abort();
        await asked;
        await until(() => server.engine.runningCount === 0);
      },
      {},
      {
        beforeToken: (index, _, signal) =>
          new Promise((_resolve, reject) => {
            if (index === 0) signal.addEventListener('abort', () => reject(signal.reason as Error));
          }),
      },
    );
    expect(requestsIn(lines).map(({ status, outcome, code }) => [status, outcome, code])).toEqual([
      [400, 'failed', 'missing_parameter'],
      [499, 'abandoned', 'client_closed_request'],
    ]);
  });

  it('is left out below the level', async () => {
    expect(await logOf(post(chatBody), { level: 'warn' })).toEqual([]);
    const crash: MockScript = {
      beforeToken: () => {
        throw new AutoglmError('engine_crashed', 'The engine process ended.');
      },
    };
    expect(requestsIn(await logOf(post(chatBody), { level: 'warn' }, crash))).toHaveLength(1);
    expect(await logOf(post(chatBody), { level: 'error' }, crash)).toEqual([]);
  });
});

describe('contents', () => {
  it('are logged only where that was asked for', async () => {
    const asked = { model: 'default', messages: [{ role: 'user', content: 'the launch code is sesame' }] };
    expect(JSON.stringify(await logOf(post(asked)))).not.toMatch(/sesame|世/);
    const [line] = requestsIn(await logOf(post(asked), { capture_content: true }));
    expect(line).toMatchObject({ input: [{ role: 'user', text: 'the launch code is sesame' }], answers: ['你好，世界！'] });
  });

  it('of the log are not those of traces', async () => {
    using folder = makeFolder();
    await using collector = await startCollector();
    const traces = { ...defaultConfig.observability.traces, enabled: true, endpoint: collector.endpoint, capture_content: true };
    const server = await startTestServer({}, {}, {}, { logs: logsTo(folder.file('log')), traces });
    await post(chatBody)(server);
    await server.gateway.drain();
    expect(collector.bodies.join('')).toContain('世');
    expect(JSON.stringify(linesOf(folder.file('log')))).not.toContain('世');
  });
});

it('no secret of a request is in logs, traces or metrics', async () => {
  using folder = makeFolder();
  await using collector = await startCollector();
  const traces = { ...defaultConfig.observability.traces, enabled: true, endpoint: collector.endpoint };
  const server = await startTestServer({}, {}, {}, { logs: logsTo(folder.file('log')), traces });
  const sent: string[] = [];
  const secret = fc.stringMatching(/^[A-Za-z0-9]{16,40}$/);
  await fc.assert(
    fc.asyncProperty(secret, secret, fc.boolean(), async (header, body, isValid) => {
      sent.push(header, body);
      const asked = isValid
        ? { ...chatBody, messages: [{ role: 'user', content: body }] }
        : { ...chatBody, messages: [{ role: body }], [body]: body };
      const headers = {
        authorization: `Bearer ${header}`,
        cookie: `session=${header}`,
        'x-api-key': header,
        'proxy-authorization': header,
        tracestate: `v=1`,
      };
      const response = await server.post(`${chat}?api_key=${header}`, asked, { headers });
      expect(response.status).toBe(isValid ? 200 : 400);
      await response.text();
    }),
    { numRuns: 40 },
  );
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  await server.gateway.drain();
  const log = JSON.stringify(linesOf(folder.file('log')));
  expect(requestsIn(linesOf(folder.file('log')))).toHaveLength(40);
  const seen = [log, metrics, ...collector.bodies].join('\n');
  expect(sent.filter((value) => seen.includes(value))).toEqual([]);
});

describe('engines', () => {
  it('tell the log of their states', async () => {
    const lines = (await logOf(post(chatBody))).filter(({ msg }) => msg === 'engine');
    expect(lines.at(0)).toMatchObject({ engine: 'mock' });
    expect(lines.at(-1)).toMatchObject({ engine: 'mock', state: 'closed', previous: 'ready', level: 'info' });
  });

  it('are told about once for each change', () => {
    const changes: EngineChange[] = [];
    let status = { state: 'ready' as EngineChange['state'], detail: 'a' };
    const end = watchEngines(
      () => [{ name: 'e', status }],
      (change) => changes.push(change),
    );
    status = { state: 'unreachable', detail: 'b' };
    end();
    expect(changes).toEqual([
      { engine: 'e', state: 'ready', previous: undefined, detail: 'a' },
      { engine: 'e', state: 'unreachable', previous: 'ready', detail: 'b' },
    ]);
  });
});

it('an observer that fails for every request does not fill the log', async () => {
  using folder = makeFolder();
  const { logs } = await openTestLogs(logsTo(folder.file('log')));
  for (let index = 0; index < 100; index += 1) logs.onObserverFailure(new Error('a secret of the client'));
  await logs.close(5000);
  expect(linesOf(folder.file('log')).map(({ count }) => count)).toEqual([1, 2, 4, 8, 16, 32, 64]);
  expect(JSON.stringify(linesOf(folder.file('log')))).not.toContain('secret of the client');
});

it('a collector that is down is in the log once', async () => {
  using folder = makeFolder();
  await using collector = await startCollector((response) => void response.writeHead(500).end());
  const traces = { ...defaultConfig.observability.traces, enabled: true, endpoint: collector.endpoint };
  const server = await startTestServer({}, {}, {}, { logs: logsTo(folder.file('log')), traces });
  for (let index = 0; index < 5; index += 1) await post(chatBody)(server);
  await server.gateway.drain();
  expect(linesOf(folder.file('log')).filter(({ level }) => level === 'warn')).toMatchObject([
    { msg: 'spans are being dropped', reason: 'the collector answered 500' },
  ]);
});

it('requests are answered as ever while nobody reads the log, and the loss is in /metrics', async () => {
  using folder = makeFolder();
  const server = await startTestServer({}, {}, {}, { logs: logsTo(folder.fifo('log')) });
  for (let index = 0; index < 20; index += 1) expect((await server.post(chat, chatBody)).status).toBe(200);
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('autoglm_log_lines_dropped_total 0');
  await server.gateway.drain();
});
