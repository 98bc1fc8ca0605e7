import type { GatewayEvent, GatewayRequest } from '@open-autoglm/protocol';
import { expect, test } from 'vitest';
import { openAiReplica } from '../../src/engines/openai-compatible/index.ts';
import { until } from '../support.ts';
import { begin, fakeModel, hang, startFakeBackend, type Behaviour } from './fake-backend.ts';

const beginsOnly: Behaviour = (response) => begin(response).delta({ role: 'assistant', content: 'a' });

/** What is told of the time with the server by a request whose reader leaves so. */
async function upstreamReasons(
  behaviour: Behaviour,
  leave: (parts: AsyncIterableIterator<unknown>, abort: AbortController) => Promise<unknown>,
  changes: Partial<GatewayRequest> = {},
) {
  await using backend = await startFakeBackend(behaviour);
  const replica = openAiReplica({
    name: 'r',
    url: backend.url,
    model: fakeModel,
    timeouts: { connect_ms: 1000, headers_ms: 60_000, idle_ms: 60_000 },
    joinsCompletions: true,
    batching: { sizeMax: 8, timeoutMs: 1000, batchShareMin: 0.1 },
  });
  const abort = new AbortController();
  const events: GatewayEvent[] = [];
  const request: GatewayRequest = {
    id: 'chatcmpl-1',
    model: fakeModel,
    input: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] },
    prompts: undefined,
    tenant: '',
    stream: true,
    choiceCount: 1,
    sampling: {},
    maxTokens: undefined,
    stop: [],
    topLogprobs: undefined,
    signal: abort.signal,
    emit: (event) => void events.push(event),
    ...changes,
  };
  const parts = replica.answer(request)[Symbol.asyncIterator]() as AsyncIterableIterator<unknown>;
  const first = parts.next().catch(() => {});
  await until(() => backend.requests.length === 1);
  if (behaviour !== hang) await first;
  await leave(parts, abort);
  await until(() => backend.openCount === 0);
  await replica.close();
  return events.flatMap((event) => (event.type === 'segment-end' && event.segment === 'upstream' ? [event.reason] : []));
}

const completion = { input: { kind: 'completion', prompts: ['a'] }, lane: 'batch', stream: false } as const;

test.each<[string, Behaviour, Partial<GatewayRequest>, readonly string[]]>([
  ['in the middle of an answer', beginsOnly, {}, ['first byte', 'left']],
  ['before an answer', hang, {}, ['left']],
  ['before an answer to several together', hang, completion, ['left']],
])('A reader who leaves %s has had no answer, and the server did not fail', async (_, behaviour, changes, reasons) => {
  expect(await upstreamReasons(behaviour, (parts) => parts.return?.() as Promise<unknown>, changes)).toEqual(reasons);
  expect(
    await upstreamReasons(
      behaviour,
      async (parts, abort) => {
        abort.abort(new Error('left'));
        await parts.next().catch(() => {});
      },
      changes,
    ),
  ).toEqual(reasons);
});
