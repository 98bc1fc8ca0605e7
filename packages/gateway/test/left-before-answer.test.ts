import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AutoglmError, type GatewayEvent, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { expect, onTestFinished, test } from 'vitest';
import type { Followed } from '../src/common/followed.ts';
import { createFollower } from '../src/observability/follow.ts';
import { respondEmbeddings } from '../src/output/respond-embeddings.ts';
import { respond } from '../src/output/respond.ts';

/** What is told of a request whose client left while its path took no notice. */
async function endOf(answer: (owed: { readonly response: ServerResponse; readonly signal: AbortSignal } & Followed) => Promise<void>) {
  const server = createServer();
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const client = request({ port: (server.address() as AddressInfo).port })
    .on('error', () => {})
    .end();
  const [, response] = await arrived;
  const closed = once(response, 'close');
  client.destroy();
  await closed;
  const abort = new AbortController();
  abort.abort(new AutoglmError('client_closed_request', 'The client left.'));
  const ends: GatewayEvent[] = [];
  const observer = { begin: () => ({ on: (event: GatewayEvent) => void (event.type === 'request-end' && ends.push(event)) }) };
  const { follow, settle } = createFollower({ observers: [observer] });
  const followed = follow({
    requestId: 'one',
    operation: 'chat',
    startedAtMs: performance.now(),
    traceparent: undefined,
    tracestate: undefined,
  });
  await answer({ response, signal: abort.signal, emit: followed.emit, timings: followed.timings, traceContext: followed.traceContext });
  settle();
  return ends;
}

const abandoned = [expect.objectContaining({ outcome: 'abandoned', status: 499, code: 'client_closed_request' })];

test('Embeddings that nobody waits for any more are not answered', async () => {
  const parsed = { model: 'm', encodingFormat: 'float' } as const;
  expect(
    await endOf((owed) =>
      respondEmbeddings({ parsed, requestId: 'one', ...owed }, Promise.resolve({ vectors: [Float32Array.of(1)], promptTokens: 1 })),
    ),
  ).toEqual(abandoned);
});

test.each([true, false])('A chat that nobody waits for any more is not answered; streamed: %s', async (stream) => {
  async function* parts(): AsyncGenerator<StreamPart, undefined> {
    yield { type: 'prompt-end', index: 0, promptTokens: 1, cachedTokens: 0, queueMs: 0, prefillMs: 0 };
    yield { type: 'text-start', index: 0 };
    yield { type: 'text-delta', index: 0, text: 'a', tokenCount: 1 };
    yield { type: 'text-end', index: 0, finishReason: 'stop', completionTokens: 1, decodeMs: 0 };
  }
  expect(
    await endOf(({ response, signal, emit, timings }) => {
      const asked: GatewayRequest = {
        id: 'chatcmpl-1',
        model: 'm',
        input: { kind: 'chat', messages: [] },
        prompts: undefined,
        tenant: '',
        stream,
        choiceCount: 1,
        sampling: {},
        maxTokens: 1,
        stop: [],
        topLogprobs: undefined,
        signal,
        emit,
      };
      return respond(
        { request: asked, requestId: 'one', format: { api: 'chat', stream, includeUsage: false }, response, timings, created: 1 },
        parts(),
      );
    }),
  ).toEqual(abandoned);
});
