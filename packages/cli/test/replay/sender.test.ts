import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exchanges } from '../../src/replay/generator/exchanges.ts';
import type { PreparedRequest } from '../../src/replay/generator/prepared.ts';
import { makeRequestMessage } from '../../src/replay/generator/request-message.ts';
import { Sender, type SenderOptions } from '../../src/replay/generator/sender.ts';
import type { RequestOutcome } from '../../src/replay/outcome.ts';
import { answerInFull, event, startScriptedServer, streamHead, textChunk, type Behaviour } from './scripted-server.ts';

const finishedChunk = (content: string) => event({ choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }] });

function requestAt(dueInBlockMs: number, index: number, others: Partial<PreparedRequest> = {}): PreparedRequest {
  const message = makeRequestMessage({
    url: 'http://127.0.0.1',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, index }),
  });
  return { index, target: 0, slice: 0, block: 0, dueInBlockMs, message, ...others };
}

/** A sender whose time stands still until a test moves it, and what is made of its facts. */
function openSender(url: string | readonly string[], options: Partial<SenderOptions> = {}) {
  const outcomes: RequestOutcome[] = [];
  const clock = { nowMs: 0, alarmAtMs: undefined as number | undefined };
  let waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  const exchanges = new Exchanges({
    onSpoilt: (id) => sender.drop(id),
    onOutcome(outcome) {
      outcomes.push(outcome);
      waiters = waiters.filter(({ count, resolve }) => outcomes.length < count || resolve());
    },
  });
  const sender = new Sender({
    targets: [url].flat(),
    timeoutMs: 1000,
    inFlightMax: 100,
    silenceMaxMs: 100_000,
    now: () => clock.nowMs,
    arrivedAt: () => clock.nowMs,
    setAlarm: (atMs) => (clock.alarmAtMs = atMs),
    onRead() {},
    tell: exchanges.tell,
    ...options,
  });
  return {
    sender,
    outcomes,
    clock,
    add(requests: readonly PreparedRequest[]) {
      for (const request of requests) exchanges.expect(request);
      sender.add(requests);
    },
    hasOutcomes: (count: number) =>
      new Promise<void>((resolve) => (outcomes.length >= count ? resolve() : waiters.push({ count, resolve }))),
    moveTo(nowMs: number) {
      clock.nowMs = nowMs;
      sender.wake();
      sender.check();
    },
  };
}

/** Plays the requests given, all due at 0, to their end. */
async function outcomesOf(behave: Behaviour, count = 1, options: Partial<SenderOptions> = {}) {
  await using server = await startScriptedServer({ behave });
  const { sender, add, outcomes } = openSender(server.url, options);
  add(Array.from({ length: count }, (_, index) => requestAt(0, index)));
  sender.complete();
  sender.begin();
  expect(await sender.ended).toBe('completed');
  return outcomes;
}

describe('sending on time', () => {
  it('waits for the moment, and for nobody: a request that is not answered delays none', async () => {
    await using server = await startScriptedServer({ behave: () => {} });
    const { sender, add, clock, moveTo } = openSender(server.url);
    add([requestAt(0, 0), requestAt(10, 1), requestAt(10, 2), requestAt(25, 3)]);
    expect(sender.inFlight).toBe(0);
    sender.begin();
    expect([sender.inFlight, clock.alarmAtMs]).toEqual([1, 10]);
    moveTo(9.99);
    expect(sender.inFlight).toBe(1);
    moveTo(10);
    expect([sender.inFlight, clock.alarmAtMs]).toEqual([3, 25]);
    moveTo(25);
    expect(sender.inFlight).toBe(4);
    await server.hasReceived(4);
    sender.stop();
    expect(await sender.ended).toBe('interrupted');
  });

  it('counts latencies from the moment that the trace says, however late it was itself', async () => {
    await using server = await startScriptedServer();
    const { sender, add, outcomes, moveTo, hasOutcomes } = openSender(server.url);
    add([requestAt(10, 0)]);
    sender.complete();
    sender.begin();
    moveTo(50);
    await hasOutcomes(1);
    expect(outcomes[0]).toMatchObject({ outcome: 'answered', dueAtMs: 10, sentAtMs: 50 });
  });

  it('sends everything once, in order, whatever the steps of the clock', async () => {
    await using server = await startScriptedServer();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(50), { minLength: 1, maxLength: 20 }),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 10 }),
        async (gaps, steps) => {
          const { sender, add, outcomes, clock, moveTo } = openSender(server.url);
          let dueMs = 0;
          const dues = gaps.map((gap) => (dueMs += gap));
          add(dues.map((due, index) => requestAt(due, index)));
          sender.complete();
          sender.begin();
          for (const step of steps) moveTo(clock.nowMs + step);
          moveTo(Math.max(clock.nowMs, dueMs));
          await sender.ended;
          const sorted = outcomes.toSorted((a, b) => a.index - b.index);
          expect(sorted.map(({ index, dueAtMs, outcome }) => [index, dueAtMs, outcome])).toEqual(
            dues.map((due, index) => [index, due, 'answered']),
          );
          expect(sorted.every(({ sentAtMs = NaN, dueAtMs }) => sentAtMs >= dueAtMs)).toBe(true);
          expect(sorted.every(({ sentAtMs = NaN }, index) => sentAtMs >= (sorted[index - 1]?.sentAtMs ?? 0))).toBe(true);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('begins a block when the one before has ended, with its times from there', async () => {
    const answers: (() => void)[] = [];
    await using server = await startScriptedServer({
      behave: (response, request, count) => void answers.push(() => answerInFull(response, request, count)),
    });
    const { sender, add, outcomes, moveTo, hasOutcomes } = openSender([server.url, server.url]);
    add([requestAt(0, 0), requestAt(5, 0, { block: 1, target: 1, slice: 0 })]);
    sender.complete();
    sender.begin();
    await server.hasReceived(1);
    moveTo(200);
    expect(server.received).toHaveLength(1);
    answers[0]?.();
    await hasOutcomes(1);
    moveTo(205);
    await server.hasReceived(2);
    answers[1]?.();
    await sender.ended;
    expect(outcomes.map(({ target, dueAtMs }) => [target, dueAtMs])).toEqual([
      [0, 0],
      [1, 205],
    ]);
  });
});

describe('bounds', () => {
  it('gives up a request whose time is up, and goes on', async () => {
    await using server = await startScriptedServer({
      behave: (response, request, count) => count > 1 && answerInFull(response, request, count),
    });
    const { sender, add, outcomes, moveTo, hasOutcomes } = openSender(server.url);
    add([requestAt(0, 0), requestAt(900, 1)]);
    sender.complete();
    sender.begin();
    await server.hasReceived(1);
    moveTo(900);
    await hasOutcomes(1);
    moveTo(1000);
    expect(await sender.ended).toBe('completed');
    expect(outcomes).toMatchObject([
      { index: 1, outcome: 'answered' },
      { index: 0, outcome: 'timed-out', endedAtMs: 1000, error: 'no end within 1 s' },
    ]);
  });

  it('abandons what would be too many at once, at its moment', async () => {
    await using server = await startScriptedServer({ behave: () => {} });
    const { sender, add, outcomes } = openSender(server.url, { inFlightMax: 2 });
    add([0, 1, 2, 3].map((index) => requestAt(0, index)));
    sender.begin();
    expect([sender.inFlight, sender.inFlightPeak, sender.connectionPeak]).toEqual([2, 2, 2]);
    expect(outcomes.map(({ index, outcome, sentAtMs }) => ({ index, outcome, sentAtMs }))).toEqual(
      [2, 3].map((index) => ({ index, outcome: 'abandoned', sentAtMs: undefined })),
    );
    sender.stop();
    await sender.ended;
    expect(outcomes).toHaveLength(4);
  });

  it('ends when a server takes connections and never says a word', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { sender, add, outcomes, moveTo } = openSender(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, {
      timeoutMs: 1_000_000,
      silenceMaxMs: 3000,
    });
    add([requestAt(0, 0), requestAt(5000, 1)]);
    sender.begin();
    await once(silent, 'connection');
    moveTo(3000);
    expect(outcomes).toEqual([]);
    moveTo(3001);
    expect(await sender.ended).toBe('silent');
    expect(outcomes).toMatchObject([{ index: 0, outcome: 'abandoned', error: 'the server answered nothing' }]);
    silent.close();
  });

  it('uses a connection again', async () => {
    await using server = await startScriptedServer();
    const { sender, add, moveTo, hasOutcomes } = openSender(server.url);
    add([0, 1, 2, 3].map((index) => requestAt(index * 10, index)));
    sender.complete();
    sender.begin();
    for (const index of [0, 1, 2, 3]) {
      moveTo(index * 10);
      await hasOutcomes(index + 1);
    }
    await sender.ended;
    expect(sender.connectionPeak).toBe(1);
  });
});

describe('what becomes of a request', () => {
  it('answered: times, counts, usage, segments', async () => {
    const [outcome] = await outcomesOf(answerInFull);
    expect(outcome).toEqual({
      index: 0,
      target: 0,
      slice: 0,
      dueAtMs: 0,
      sentAtMs: 0,
      firstTokenAtMs: 0,
      endedAtMs: 0,
      gapMaxMs: 0,
      chunkCount: 3,
      outputTokens: 3,
      promptTokens: 21,
      cachedTokens: 16,
      timings: { queue: 1, prefill: 2 },
      outcome: 'answered',
      status: 200,
    });
  });

  it('answered: every choice has a finish_reason, and the body ends as HTTP has it, without [DONE]', async () => {
    const outcomes = await outcomesOf((response, _, count) => {
      // A body that is not chunked ends with its connection.
      response.useChunkedEncodingByDefault = count !== 1;
      streamHead(response);
      response.write(finishedChunk('a'));
      response.end(event({ choices: [], usage: { prompt_tokens: 21, completion_tokens: 3 } }));
    }, 2);
    expect(outcomes).toMatchObject([0, 1].map(() => ({ outcome: 'answered', outputTokens: 3, promptTokens: 21 })));
  });

  const cases: readonly (readonly [string, Behaviour, Partial<RequestOutcome>])[] = [
    [
      '429',
      (response) => response.writeHead(429, { 'content-type': 'application/json' }).end('{"error":{"message":"The queue is full."}}'),
      { outcome: 'refused', status: 429, error: 'HTTP 429: The queue is full.' },
    ],
    [
      '400 of vLLM',
      (response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"object":"error","message":"too long"}'),
      { outcome: 'refused', status: 400, error: 'HTTP 400: too long' },
    ],
    ['503', (response) => response.writeHead(503).end(), { outcome: 'refused', status: 503, error: 'HTTP 503' }],
    [
      '500 with a page',
      (response) => response.writeHead(500, { 'content-type': 'text/html' }).end('<html>'),
      { outcome: 'failed', status: 500, error: 'HTTP 500' },
    ],
    [
      'a redirection',
      (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      { outcome: 'failed', status: 302, error: 'HTTP 302' },
    ],
    [
      'JSON instead of a stream',
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}'),
      { outcome: 'failed', status: 200, error: 'no event stream, but application/json' },
    ],
    ['a reset before the head', (response) => response.socket?.resetAndDestroy(), { outcome: 'failed', error: 'connection reset' }],
    ['a close before the head', (response) => response.socket?.destroy(), { outcome: 'failed', error: 'connection closed' }],
    [
      'a reset in mid-stream',
      (response) => (streamHead(response), response.write(textChunk('a'), () => response.socket?.resetAndDestroy())),
      { outcome: 'cut', status: 200, error: 'connection reset' },
    ],
    [
      'a close in mid-stream',
      (response) => (streamHead(response), response.write(textChunk('a'), () => response.socket?.destroy())),
      { outcome: 'cut', error: 'connection closed' },
    ],
    [
      'an end without finish_reason or [DONE]',
      (response) => (streamHead(response), response.end(textChunk('a'))),
      { outcome: 'cut', chunkCount: 1, outputTokens: 1, error: 'the stream ended without finish_reason or [DONE]' },
    ],
    [
      'an end before the other choice has one',
      (response) => (
        streamHead(response),
        response.end(textChunk('a') + event({ choices: [{ index: 1, delta: {}, finish_reason: 'stop' }] }))
      ),
      { outcome: 'cut' },
    ],
    [
      'a close after finish_reason, before the end of the body',
      (response) => (streamHead(response), response.write(finishedChunk('a'), () => response.socket?.destroy())),
      { outcome: 'cut', error: 'connection closed' },
    ],
    [
      'an error event',
      (response) => (
        streamHead(response),
        response.write(textChunk('a')),
        response.end(event({ error: { message: 'The engine has crashed.' } }))
      ),
      { outcome: 'cut', error: 'error event: The engine has crashed.' },
    ],
    [
      'an event that is not JSON',
      (response) => (streamHead(response), response.write('data: {"choices\n\n')),
      { outcome: 'cut', error: 'an event is not JSON' },
    ],
    [
      'an event that never ends',
      (response) => (streamHead(response), response.write(`data: ${'x'.repeat(5 * 2 ** 20)}`)),
      { outcome: 'cut', error: 'an event is longer than 4 MiB' },
    ],
    [
      'what is not HTTP',
      (response) => response.socket?.end('SSH-2.0-OpenSSH_9.6\r\n'),
      { outcome: 'failed', error: 'what came is not HTTP/1.1' },
    ],
  ];
  it.each(cases)('%s', async (_, behave, expected) => {
    // Those after it are not its victims.
    const outcomes = await outcomesOf((response, request, count) => (count === 1 ? behave : answerInFull)(response, request, count), 3);
    expect(outcomes.find(({ outcome }) => outcome !== 'answered')).toMatchObject(expected);
    expect(outcomes.filter(({ outcome }) => outcome === 'answered')).toHaveLength(2);
  });

  it('nobody listens', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const { sender, add, outcomes } = openSender(`http://127.0.0.1:${port}`);
    add([requestAt(0, 0), requestAt(0, 1)]);
    sender.complete();
    sender.begin();
    expect(await sender.ended).toBe('completed');
    expect(outcomes).toMatchObject([0, 1].map(() => ({ outcome: 'failed', error: 'connection refused' })));
  });

  it('checks answers that are known, and only if they were whole', async () => {
    await using server = await startScriptedServer();
    const { sender, add, outcomes } = openSender(server.url);
    add([requestAt(0, 0, { answer: { equals: '北京是首都' } }), requestAt(0, 1, { answer: { contains: '上海' } }), requestAt(0, 2)]);
    sender.complete();
    sender.begin();
    await sender.ended;
    expect(outcomes.toSorted((a, b) => a.index - b.index).map(({ answerCorrect }) => answerCorrect)).toEqual([true, false, undefined]);
  });
});
