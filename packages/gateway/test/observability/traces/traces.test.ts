import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { defaultConfig, type Config, type MockScript } from '../../../src/main.ts';
import { chatBody, startTestServer, type TestServer } from '../../support.ts';
import { startCollector, type Collector, type ReceivedSpan } from './collector.ts';

type Traces = Config['observability']['traces'];

const chat = '/v1/chat/completions';
const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const sampled = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: 'vendor=one,other=two' };
const unsampled = { traceparent: `00-${traceId}-${parentId}-00` };

function tracesTo({ endpoint }: Collector, traces: Partial<Traces> = {}): { readonly traces: Traces } {
  return { traces: { ...defaultConfig.observability.traces, enabled: true, endpoint, ...traces } };
}

/** What the collector has when the server has drained. */
async function spansOf(
  ask: (server: TestServer) => Promise<unknown>,
  traces: Partial<Traces> = {},
  script: MockScript = {},
): Promise<readonly ReceivedSpan[]> {
  await using collector = await startCollector();
  const server = await startTestServer(script, {}, {}, tracesTo(collector, traces));
  await ask(server);
  await server.gateway.drain();
  return collector.spans;
}

const post =
  (body: unknown, headers: Record<string, string> = {}) =>
  async (server: TestServer) =>
    (await server.post(chat, body, { headers })).text();
const rootOf = (spans: readonly ReceivedSpan[]) => spans.find(({ name }) => name.startsWith('chat')) as ReceivedSpan;

describe('the span of a request', () => {
  it('says what was asked and answered in the words of the GenAI conventions', async () => {
    const spans = await spansOf(post({ ...chatBody, stream: true, max_tokens: 4 }, { 'x-request-id': 'one' }));
    const root = rootOf(spans);
    expect(root).toMatchObject({ name: 'chat default', kind: 2, status: { code: 0 }, resource: { 'service.name': 'open-autoglm' } });
    expect(root.parentSpanId ?? '').toBe('');
    expect(root.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'open-autoglm',
      'gen_ai.request.model': 'default',
      'gen_ai.request.stream': true,
      'gen_ai.request.max_tokens': 4,
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.usage.output_tokens': 4,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'http.route': chat,
      'http.response.status_code': 200,
      'autoglm.engine': 'mock',
      'autoglm.tier': 'edge',
      'autoglm.outcome': 'answered',
      'autoglm.request_id': 'one',
    });
    expect(root.attributes['gen_ai.usage.input_tokens']).toBeGreaterThan(0);
    expect(root.events.map(({ name }) => name)).toEqual(['engine-chosen', 'first-token']);
  });

  it('has a child for each segment, within its own time and in order', async () => {
    const spans = await spansOf(post({ ...chatBody, n: 2 }));
    const root = rootOf(spans);
    const children = spans.filter(({ parentSpanId }) => parentSpanId === root.spanId);
    expect(children).toHaveLength(spans.length - 1);
    const named = (name: string) => children.filter((child) => child.name === name);
    for (const name of ['queue', 'prefill', 'decode'])
      expect(named(name).map(({ attributes }) => attributes['autoglm.choice'])).toEqual([0, 1]);
    expect(named('input').length).toBeGreaterThan(0);
    for (const child of children) {
      expect(child.traceId).toBe(root.traceId);
      expect(BigInt(child.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root.startTimeUnixNano));
      expect(BigInt(child.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root.endTimeUnixNano));
    }
    const [queue, prefill] = [named('queue')[0], named('prefill')[0]] as [ReceivedSpan, ReceivedSpan];
    expect(BigInt(queue.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(prefill.startTimeUnixNano) + 1n);
  });

  it('is of bounded size, however many choices there are', async () => {
    const prompts = Array.from({ length: 16 }, (_, index) => `prompt ${index}`);
    const spans = await spansOf(async (server) =>
      (await server.post('/v1/completions', { model: 'default', prompt: prompts, n: 2, max_tokens: 1 })).text(),
    );
    expect(spans).toHaveLength(65);
    expect(spans.find(({ name }) => name === 'text_completion default')?.attributes['autoglm.segments_left_out']).toBeGreaterThan(0);
  });

  it('is an error where the server failed, and none where the client did', async () => {
    const crash: MockScript = {
      beforeToken: () => {
        throw new AutoglmError('engine_crashed', 'The engine process ended.');
      },
    };
    const [failed] = await spansOf(post(chatBody), {}, crash).then((spans) => [rootOf(spans)]);
    expect(failed).toMatchObject({
      status: { code: 2, message: 'engine_crashed' },
      attributes: { 'error.type': 'engine_crashed', 'http.response.status_code': 502, 'autoglm.outcome': 'failed' },
    });
    const refused = rootOf(await spansOf(post({ model: 'default' })));
    expect(refused).toMatchObject({
      name: 'chat',
      status: { code: 0 },
      attributes: { 'error.type': 'missing_parameter', 'http.response.status_code': 400 },
    });
  });

  it('is not named after what clients make up', async () => {
    const root = rootOf(await spansOf(post({ ...chatBody, model: 'x'.repeat(200) })));
    expect(root.name).toBe('chat');
    expect(root.attributes['gen_ai.request.model']).toBe('x'.repeat(200));
  });
});

describe('trace context', () => {
  it('is taken from the client', async () => {
    const root = rootOf(await spansOf(post(chatBody, sampled)));
    expect(root).toMatchObject({ traceId, parentSpanId: parentId, traceState: sampled.tracestate });
  });

  it.each([
    '',
    'nonsense',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    `00-${traceId}-${parentId}`,
    `ff-${traceId}-${parentId}-01`,
  ])('%j begins a trace of its own', async (traceparent) => {
    const root = rootOf(await spansOf(post(chatBody, { traceparent })));
    expect(root.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(root.traceId).not.toBe(traceId);
    expect(root.parentSpanId ?? '').toBe('');
  });

  it('decides what is recorded; the ratio decides for requests without', async () => {
    expect(await spansOf(post(chatBody, unsampled), { sample_ratio: 1 })).toEqual([]);
    expect(await spansOf(post(chatBody), { sample_ratio: 0 })).toEqual([]);
    expect(rootOf(await spansOf(post(chatBody, sampled), { sample_ratio: 0 }))).toMatchObject({ traceId });
  });
});

describe('contents', () => {
  const prompt = 'the launch code is sesame';
  const asked = {
    model: 'default',
    messages: [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: prompt },
    ],
    max_tokens: 6,
  };

  it('are never recorded by themselves', async () => {
    await using collector = await startCollector();
    const server = await startTestServer({}, {}, {}, tracesTo(collector));
    expect(await post(asked)(server)).toContain('世');
    await server.gateway.drain();
    expect(collector.spans.length).toBeGreaterThan(0);
    for (const body of collector.bodies) expect(body).not.toMatch(/launch code|sesame|be brief|世/);
  });

  it('are recorded where that was asked for, up to a bound', async () => {
    const root = rootOf(await spansOf(post(asked), { capture_content: true }));
    expect(JSON.parse(root.attributes['gen_ai.input.messages'] as string)).toEqual([
      { role: 'system', parts: [{ type: 'text', content: 'be brief' }] },
      { role: 'user', parts: [{ type: 'text', content: prompt }] },
    ]);
    expect(JSON.parse(root.attributes['gen_ai.output.messages'] as string)).toEqual([
      { role: 'assistant', parts: [{ type: 'text', content: '你好，世界！' }] },
    ]);
    const long = rootOf(
      await spansOf(post({ ...asked, messages: Array.from({ length: 300 }, () => ({ role: 'user', content: '\u0001'.repeat(1000) })) }), {
        capture_content: true,
      }),
    );
    const [first] = JSON.parse(long.attributes['gen_ai.input.messages'] as string) as [{ parts: [{ content: string }] }];
    expect(first.parts[0].content).toHaveLength(1000);
    expect(String(long.attributes['gen_ai.input.messages']).length).toBeLessThanOrEqual(8 * 16 * 1024);
  });
});

it('sends its headers to the whole address or to the base, as configured', async () => {
  await using collector = await startCollector();
  for (const endpoint of [collector.endpoint, `${collector.endpoint}/`, `${collector.endpoint}/v1/traces`]) {
    const server = await startTestServer(
      {},
      {},
      {},
      tracesTo(collector, { endpoint, headers: { authorization: 'Bearer let-me-in' }, service_name: 'booking' }),
    );
    await post(chatBody)(server);
    await server.gateway.drain();
  }
  expect(collector.headers.map(({ authorization }) => authorization)).toEqual(Array.from({ length: 3 }, () => 'Bearer let-me-in'));
  for (const body of collector.bodies) expect(body).toMatch(/^\/v1\/traces \{/);
  expect(new Set(collector.spans.map(({ resource }) => resource['service.name']))).toEqual(new Set(['booking']));
});
