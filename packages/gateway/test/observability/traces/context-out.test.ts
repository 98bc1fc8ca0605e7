import type { GatewayRequest } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/main.ts';
import type { RequestStart } from '../../../src/common/request-start.ts';
import { openAiReplica } from '../../../src/engines/openai-compatible/index.ts';
import { createFollower } from '../../../src/observability/follow.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';
import { startTracing } from '../../../src/observability/traces/tracing.ts';
import { startCollector } from './collector.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const start: RequestStart = {
  requestId: 'one',
  operation: 'chat',
  startedAtMs: performance.now(),
  traceparent: undefined,
  tracestate: undefined,
};

const request: GatewayRequest = {
  id: 'chatcmpl-1',
  model: 'm',
  input: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] },
  prompts: undefined,
  tenant: '',
  stream: false,
  choiceCount: 1,
  sampling: {},
  maxTokens: 1,
  stop: [],
  topLogprobs: undefined,
  signal: new AbortController().signal,
  emit: () => {},
};

/** The headers that a replica is sent for a request which came so. */
async function sentFor(from: Partial<RequestStart>, tracesRatio: number | undefined) {
  const whole = {
    id: 'x',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }],
  };
  await using server = await startCollector(
    (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(whole)),
  );
  await using collector = await startCollector();
  const config = { ...defaultConfig.observability.traces, endpoint: collector.endpoint, sample_ratio: tracesRatio ?? 0 };
  const tracing =
    tracesRatio === undefined
      ? undefined
      : startTracing({
          config,
          drops: new DropCounter(
            () => {},
            () => {},
          ),
          isModel: () => true,
        });
  const { follow, settle } = createFollower({ observers: tracing ? [tracing] : [] });
  const { emit, traceContext } = follow({ ...start, ...from });
  const replica = openAiReplica({
    name: 'r',
    url: `${server.endpoint}/v1`,
    model: 'm',
    timeouts: { connect_ms: 1000, headers_ms: 1000, idle_ms: 1000 },
  });
  for await (const _ of replica.answer({ ...request, traceContext }));
  emit({ type: 'request-end', outcome: 'answered', status: 200 });
  settle();
  await tracing?.close(1000);
  await replica.close();
  const asked = server.bodies.findIndex((body) => body.startsWith('/v1/chat/completions'));
  return { headers: server.headers[asked] ?? {}, spans: collector.spans };
}

describe('a replica is sent', () => {
  it('a context whose parent is the span of the request', async () => {
    const { headers, spans } = await sentFor({ traceparent, tracestate: 'a=1' }, 0);
    expect(headers['traceparent']).toBe(`00-${spans[0]?.traceId}-${spans[0]?.spanId}-01`);
    expect(spans[0]?.parentSpanId).toBe('b7ad6b7169203331');
    expect(headers['tracestate']).toBe('a=1');
  });

  it('that nothing is recorded, where nothing is', async () => {
    const { headers, spans } = await sentFor({}, 0);
    expect(headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(spans).toEqual([]);
  });

  it('the context of the client as it is, where nobody traces here', async () => {
    const { headers } = await sentFor({ traceparent, tracestate: 'a=1' }, undefined);
    expect(headers).toMatchObject({ traceparent, tracestate: 'a=1' });
  });

  it.each([undefined, 'nonsense', `${traceparent}-more`, '00-00000000000000000000000000000000-b7ad6b7169203331-01'])(
    'nothing for %j, where nobody traces here',
    async (bad) => {
      const { headers } = await sentFor({ traceparent: bad, tracestate: 'a=1' }, undefined);
      expect(headers).not.toHaveProperty('traceparent');
      expect(headers).not.toHaveProperty('tracestate');
    },
  );
});
