import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { stopClock } from '../stopped-clock.ts';
import { chatBody, createGate, portOf, startTestServer, until, type TestServer } from '../support.ts';

const segments = ['prejudge', 'input', 'cache', 'queue', 'prefill', 'decode', 'upstream', 'output', 'other', 'total'];
/** Every figure is rounded. */
const rounding = segments.length * 0.01;

/** Of a `Server-Timing` header. */
function timingsOf(header: string | null): Record<string, number> {
  const entries = (header ?? '').split(', ').map((metric) => /^(\w+);dur=(\d+\.\d\d)$/.exec(metric));
  expect(entries.every((entry) => entry && segments.includes(entry[1] as string))).toBe(true);
  return Object.fromEntries(entries.map((entry) => [entry?.[1], Number(entry?.[2])]));
}

function expectToAddUp({ total = NaN, ...parts }: Record<string, number>): void {
  expect(Math.abs(Object.values(parts).reduce((sum, ms) => sum + ms, 0) - total)).toBeLessThanOrEqual(rounding);
}

interface Autoglm {
  readonly autoglm?: { readonly timings: Record<string, number> };
}

function lastEventOf(text: string): Autoglm {
  const events = text.trimEnd().split('\n\n');
  expect(events.at(-1)).toBe('data: [DONE]');
  return JSON.parse((events.at(-2) as string).slice('data: '.length)) as Autoglm;
}

const withoutUnit = (timings: Record<string, number>) =>
  Object.fromEntries(Object.entries(timings).map(([name, ms]) => [name.replace(/_ms$/, ''), ms]));

describe('the segments of a request', () => {
  let server: TestServer;
  afterEach(() => server[Symbol.asyncDispose]());

  it('are in the header and the body of an answer, and add up', async () => {
    server = await startTestServer();
    const response = await server.post('/v1/chat/completions', { ...chatBody, n: 3 });
    expectToAddUp(timingsOf(response.headers.get('server-timing')));
    const { autoglm } = (await response.json()) as Autoglm;
    const timings = withoutUnit(autoglm?.timings ?? {});
    expect(Object.keys(timings)).toEqual(['input', 'queue', 'prefill', 'decode', 'other', 'total']);
    expectToAddUp(timings);
  });

  it.each([[{}], [{ stream_options: { include_usage: true } }]])('are complete in the last event of a stream %j', async (options) => {
    server = await startTestServer();
    const response = await server.post('/v1/chat/completions', { ...chatBody, ...options, stream: true, n: 2 });
    const begun = timingsOf(response.headers.get('server-timing'));
    expectToAddUp(begun);
    expect(Object.keys(begun)).toContain('prefill');
    const text = await response.text();
    expect(text.match(/"autoglm"/g)).toHaveLength(1);
    const timings = withoutUnit(lastEventOf(text).autoglm?.timings ?? {});
    expect(Object.keys(timings)).toContain('decode');
    expectToAddUp(timings);
    expect(timings['total']).toBeGreaterThanOrEqual((begun['total'] as number) - rounding);
  });

  it('are told of a request that is refused before and after it is understood', async () => {
    server = await startTestServer();
    const broken = await server.post('/v1/chat/completions', '{"model"');
    expect([broken.status, Object.keys(timingsOf(broken.headers.get('server-timing')))]).toEqual([400, ['other', 'total']]);
    const unknown = await server.post('/v1/chat/completions', { ...chatBody, model: 'nobody' });
    expect([unknown.status, Object.keys(timingsOf(unknown.headers.get('server-timing')))]).toEqual([404, ['input', 'other', 'total']]);
  });

  it('are told of an answer that fails before its first token', async () => {
    server = await startTestServer({
      beforeToken: () => {
        throw new Error('broken');
      },
    });
    const early = await server.post('/v1/chat/completions', { ...chatBody, stream: true });
    const timings = timingsOf(early.headers.get('server-timing'));
    expect(early.status).toBe(500);
    expect(Object.keys(timings)).toEqual(['input', 'prefill', 'other', 'total']);
    expectToAddUp(timings);
  });

  it('count as decode until a stream breaks, in the event that tells of it', async () => {
    server = await startTestServer({
      beforeToken: (index) => {
        if (index === 2) throw new Error('broken');
      },
    });
    const response = await server.post('/v1/chat/completions', { ...chatBody, stream: true });
    const last = lastEventOf(await response.text());
    expect(last).toMatchObject({ error: { code: 'internal_error' } });
    const timings = withoutUnit(last.autoglm?.timings ?? {});
    expect(Object.keys(timings)).toContain('decode');
    expectToAddUp(timings);
  });

  it('count what an engine did not begin as prefill until a deadline', async () => {
    using clock = stopClock();
    const gate = createGate();
    server = await startTestServer({ beforeToken: () => gate.passed });
    const answer = server.post('/v1/chat/completions', { ...chatBody, autoglm: { deadline_ms: 300 } });
    await until(() => server.engine.runningCount === 1);
    clock.pass(300);
    const response = await answer;
    expect(response.status).toBe(504);
    const timings = timingsOf(response.headers.get('server-timing'));
    expectToAddUp(timings);
    expect(timings['prefill']).toBe(300);
    gate.open();
  });

  it('go on with a client that sends half a request and leaves', async () => {
    server = await startTestServer();
    const socket = connect(portOf(server.url), '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{');
    const active = async () => (await (await fetch(`${server.url}/metrics`)).text()).includes('autoglm_active_requests 1\n');
    await until(active);
    socket.destroy();
    await until(async () => !(await active()));
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain(
      'outcome="abandoned",status="499",code="client_closed_request"} 1',
    );
  });
});
