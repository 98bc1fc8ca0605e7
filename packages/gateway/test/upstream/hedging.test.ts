import { describe, expect, it, vi } from 'vitest';
import { createGate, holdUp } from '../support.ts';
import { begin, hang, say, startFakeBackend, type Behaviour } from './fake-backend.ts';
import { chat, chatBody, chunksOf, startRemoteGateway, textOf, until } from './support.ts';

const streamed = { ...chatBody, stream: true };
const hedging = { enabled: true, quantile: 0.5, ratio: 1, delay_min_ms: 1 };
/** Enough answers for the quantile to be known. */
const learning = 64;
const asksMax = 40;

describe('a request whose engine is silent for longer than usual', () => {
  it('is sent to another one too; who speaks first answers, and the other is left', async () => {
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', hedging, health: { slow_factor: 0 } },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    one.behave(hang);
    const before = one.requests.length;
    // Whose turn it is depends on the hedges before, and a request that is left at once may never have been read.
    for (let count = 0; count < asksMax && one.requests.length === before; count += 1) {
      const response = await server.post(chat, streamed);
      expect(response.headers.get('x-autoglm-engine')).toBe('fake-1');
      const chunks = chunksOf(await response.text());
      expect(textOf(chunks)).toBe('Hello, world!');
    }
    expect(one.requests.length).toBeGreaterThan(before);
    await until(() => one.openCount === 0);
  });

  it('has waited for another server, whichever of them answers', async () => {
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', hedging, health: { slow_factor: 0 } },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    let heldMs = 0;
    one.behave(() => {
      const fromMs = performance.now();
      holdUp(50);
      heldMs = performance.now() - fromMs;
    });
    for (let count = 0; count < asksMax; count += 1) {
      const response = await server.post(chat, streamed);
      await response.text();
      if (heldMs > 0)
        return expect(Number(/upstream;dur=([\d.]+)/.exec(response.headers.get('server-timing') ?? '')?.[1])).toBeGreaterThanOrEqual(
          Math.floor(heldMs),
        );
    }
    expect.unreachable();
  });

  it('is not sent twice once it has begun', async () => {
    const gate = createGate();
    const stalls: Behaviour = async (response) => {
      const events = begin(response);
      events.delta({ content: 'Hello' });
      await gate.passed;
      events.delta({}, { finish_reason: 'stop' });
      events.done();
    };
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', health: { slow_factor: 0 }, hedging: { ...hedging, delay_min_ms: 5000 } },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    one.behave(stalls);
    two.behave(stalls);
    const before = one.requests.length + two.requests.length;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const response = await server.post(chat, streamed);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('Hello')) text += (await reader.read()).value;
      await vi.advanceTimersByTimeAsync(10_000);
      gate.open();
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      expect(textOf(chunksOf(text))).toBe('Hello');
    } finally {
      vi.useRealTimers();
    }
    expect(one.requests.length + two.requests.length).toBe(before + 1);
  });

  it('waits for the one that is left when the other fails, and fails when both do', async () => {
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', tries_max: 2, health: { slow_factor: 0 }, hedging },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    // While learning, a hedge may have gone the other way: how many each got is not known beforehand.
    const learnt = two.requests.length;
    const late: Behaviour = async (response, request) => {
      await until(() => two.openCount === 0 && two.requests.length > learnt);
      await say(['late'])(response, request);
    };
    const fails: Behaviour = (response) => void response.socket?.resetAndDestroy();
    one.behave(late);
    two.behave(fails);
    const texts = await Promise.all([0, 1].map(async () => textOf(chunksOf(await (await server.post(chat, streamed)).text()))));
    expect(texts).toEqual(['late', 'late']);
    one.behave(fails);
    expect((await server.post(chat, streamed)).status).toBe(502);
  });

  it('is sent to no more than the budget allows', async () => {
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', health: { slow_factor: 0 }, hedging: { ...hedging, ratio: 0 } },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    const slow: Behaviour = async (response, request) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await say()(response, request);
    };
    one.behave(slow);
    two.behave(slow);
    const before = one.requests.length + two.requests.length;
    await Promise.all(Array.from({ length: 40 }, async () => (await server.post(chat, streamed)).text()));
    // The bucket begins with ten, and the first requests may have used some.
    expect(one.requests.length + two.requests.length - before).toBeLessThanOrEqual(50);
  });
});

describe('a try that fails', () => {
  it.each([true, false])('has its time told as that of its engine, whether rivals may join or not: %s', async (enabled) => {
    const endsAtOnce: Behaviour = (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
    await using one = await startFakeBackend(endsAtOnce);
    await using server = await startRemoteGateway([one.url], { router: { hedging: { ...hedging, enabled } } });
    const response = await server.post(chat, streamed);
    expect(response.status).toBe(502);
    expect(response.headers.get('server-timing')).toContain('upstream;dur=');
  });
});

describe('a client that leaves while two engines are asked', () => {
  it('is followed at both', async () => {
    await using one = await startFakeBackend();
    await using two = await startFakeBackend();
    // No engine may be out for having been slow on a busy machine: there would be no second one to ask.
    await using server = await startRemoteGateway([one.url, two.url], {
      router: { balance: 'round_robin', hedging, health: { slow_factor: 0 } },
    });
    for (let count = 0; count < learning; count += 1) await (await server.post(chat, streamed)).text();
    one.behave(hang);
    two.behave(hang);
    const leaving = new AbortController();
    const asked = server.post(chat, streamed, { signal: leaving.signal }).catch(() => {});
    await until(() => one.openCount === 1 && two.openCount === 1);
    leaving.abort();
    await until(() => one.openCount === 0 && two.openCount === 0);
    await asked;
  });
});
