import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Engine, GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import { createMockEngine, defaultConfig, startGateway, type Config } from '../../src/main.ts';
import { FollowUps } from '../../src/response-cache/prefetch/follow-ups.ts';
import { Prefetcher } from '../../src/response-cache/prefetch/prefetcher.ts';
import { TokenBudget } from '../../src/response-cache/prefetch/token-budget.ts';
import { scrape } from '../observability/scrape.ts';
import { stopClock } from '../stopped-clock.ts';
import { createGate, until } from '../support.ts';

describe('FollowUps', () => {
  const options = { entriesMax: 100, bytesMax: 1e6, countMin: 3, shareMin: 0.3 };
  const next = (key: string) => ({ key, request: key, bytes: 10 });
  const keys = (followUps: FollowUps<string>, key: string) => followUps.expected(key).map((expected) => expected.key);

  it('expects what was seen often, and often enough among others', () => {
    const followUps = new FollowUps<string>(options);
    for (const count of [1, 2, 3]) {
      followUps.observe('a', next('b'));
      expect(keys(followUps, 'a')).toEqual(count < 3 ? [] : ['b']);
    }
    expect(keys(followUps, 'b')).toEqual([]);
    for (let turn = 0; turn < 30; turn += 1) followUps.observe('a', next('c'));
    // b has faded.
    expect(keys(followUps, 'a')).toEqual(['c']);
  });

  it('stays within its bounds, whatever follows upon what', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 300 }), (pairs) => {
        const followUps = new FollowUps<string>({ ...options, entriesMax: 7, bytesMax: 300 });
        for (const [a, b] of pairs) {
          followUps.observe(String(a), next(String(b)));
          expect(followUps.size).toBeLessThanOrEqual(7);
          expect(followUps.bytes).toBeLessThanOrEqual(300);
          expect(followUps.expected(String(a)).length).toBeLessThanOrEqual(8);
        }
      }),
    );
  });
});

it('TokenBudget fills by the minute, to a minute’s worth, and owes what was overspent', () => {
  let nowMs = 0;
  const budget = new TokenBudget(600, () => nowMs);
  expect(budget.left).toBe(600);
  budget.spend(900);
  expect(budget.left).toBe(-300);
  nowMs += 30_000;
  expect(budget.left).toBe(0);
  nowMs += 3_600_000;
  expect(budget.left).toBe(600);
});

describe('Prefetcher', () => {
  function open() {
    const asked: GatewayRequest[] = [];
    let begin: (() => void) | undefined;
    const schedule = (callback: () => void) => {
      begin = callback;
      return () => void (begin = undefined);
    };
    const prefetcher = new Prefetcher(
      { tokensPerMinute: 1000, idleMs: 0, countMin: 1, shareMin: 0.1, entriesMax: 10, bytesMax: 1e6, now: () => 0, schedule },
      1000,
    );
    async function* next(request: GatewayRequest): AsyncGenerator<StreamPart> {
      asked.push(request);
      request.emit({ type: 'answer-note', name: 'cache', value: { result: 'miss', key: JSON.stringify(request.input) } });
      yield* [];
    }
    const ask = async (content: string, more: Partial<GatewayRequest> = {}) => {
      const request: GatewayRequest = {
        id: content,
        model: 'default',
        input: { kind: 'chat', messages: [{ role: 'user', content }] },
        prompts: undefined,
        tenant: '',
        stream: false,
        choiceCount: 1,
        sampling: {},
        maxTokens: undefined,
        stop: [],
        topLogprobs: undefined,
        client: { address: 'a', session: undefined },
        signal: new AbortController().signal,
        emit: () => {},
        ...more,
      };
      for await (const _ of prefetcher.stage(request, next)) void _;
    };
    return { asked, ask, begin: () => begin };
  }

  it('asks again without the deadline of who asked', async () => {
    const { asked, ask, begin } = open();
    for (const content of ['first', 'second', 'first']) await ask(content, { deadlineAtMs: 5 });
    begin()?.();
    await until(() => asked.length === 4);
    expect(asked[3]).toMatchObject({ id: 'second-ahead', deadlineAtMs: undefined });
  });

  it.each([{ mode: 'refresh' }, { mode: 'auto', maxAgeSeconds: 0 }, { mode: 'on', onlyIfCached: true }] as const)(
    'computes nothing ahead for who has no use for it: %j',
    async (cache) => {
      const { ask, begin } = open();
      for (const content of ['first', 'second', 'first']) await ask(content, { cache });
      expect(begin()).toBeUndefined();
    },
  );

  it.each<[string, Partial<GatewayRequest>]>([
    ['a schema', { responseFormat: { type: 'json_schema', schema: { description: 'x'.repeat(40_000) } } }],
    ['biases', { sampling: { logitBias: Object.fromEntries(Array.from({ length: 10_000 }, (_, token) => [token, 1])) } }],
    ['stops', { stop: ['x'.repeat(40_000)] }],
  ])('holds on to no request that is larger than what it may keep by %s', async (_, more) => {
    const { ask, begin } = open();
    await ask('first');
    await ask('second', more);
    await ask('first');
    expect(begin()).toBeUndefined();
  });
});

async function startServer(
  prefetch: Partial<Config['cache']['prefetch']>,
  script: Parameters<typeof createMockEngine>[0] = {},
  cache: Partial<Config['cache']> = {},
) {
  const engine = createMockEngine(script);
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    cache: {
      ...defaultConfig.cache,
      enabled: true,
      ...cache,
      prefetch: { ...defaultConfig.cache.prefetch, enabled: true, idle_ms: 1, ...prefetch },
    },
  };
  const gateway = await startGateway({ config, engine: engine satisfies Engine, env: { PREFETCH_KEY: 'secret' } });
  return {
    engine,
    url: gateway.url,
    async ask(content: string, more: object = {}, headers: Record<string, string> = {}) {
      const body = JSON.stringify({ model: 'default', temperature: 0, messages: [{ role: 'user', content }], ...more });
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      });
      const answer = (await response.json()) as { autoglm?: { prefetched?: boolean } };
      return { cache: response.headers.get('x-autoglm-cache'), prefetched: answer.autoglm?.prefetched };
    },
    async count(outcome: string) {
      const text = await (await fetch(`${gateway.url}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`autoglm_prefetch_answers_total{outcome="${outcome}"}`))
          ?.split(' ')
          .at(-1),
      );
    },
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

describe('prefetching', () => {
  it('computes what usually follows, and says when it was of use', async () => {
    using clock = stopClock();
    await using server = await startServer(
      { follow_ups: { ...defaultConfig.cache.prefetch.follow_ups, count_min: 2 } },
      {},
      { ttl_seconds: 1, ttl_jitter: 0, stale_seconds: 0, early_refresh: 0 },
    );
    for (const user of ['a', 'b']) {
      await server.ask('first', { user });
      await server.ask('second', { user });
    }
    // Everything that was kept has gone; what was learned has not.
    clock.pass(1100);
    expect(await server.ask('first', { user: 'c' })).toMatchObject({ cache: 'miss' });
    await until(async () => (await server.count('computed')) === 1);
    // Another tenant's client gets nothing of it.
    expect(await server.ask('second', {}, { 'x-autoglm-tenant': 't' })).toMatchObject({ cache: 'miss' });
    expect(await server.ask('second', { user: 'c' })).toEqual({ cache: 'exact', prefetched: true });
    expect(await server.count('used')).toBe(1);
  });

  it('computes configured requests while idle, for those who will ask them', async () => {
    const body = { model: 'default', temperature: 0, messages: [{ role: 'user', content: 'ahead' }] };
    await using server = await startServer({
      requests: [
        { path: '/v1/chat/completions', body, tenant: 'car', api_key_env: 'PREFETCH_KEY' },
        { path: '/v1/chat/completions', body: { model: 'default' } },
      ],
    });
    await until(async () => (await server.count('computed')) === 1 && (await server.count('failed')) === 1);
    expect(await server.ask('ahead')).toEqual({ cache: 'miss', prefetched: undefined });
    expect(await server.ask('ahead', {}, { 'x-autoglm-tenant': 'car', authorization: 'Bearer secret' })).toEqual({
      cache: 'exact',
      prefetched: true,
    });
    expect(await server.count('used')).toBe(1);
    expect(await server.ask('ahead', {}, { 'x-autoglm-tenant': 'car', authorization: 'Bearer secret' })).toEqual({
      cache: 'exact',
      prefetched: undefined,
    });
  });

  it('gives way at once to what is asked', async () => {
    const gate = createGate();
    const body = { model: 'default', temperature: 0, messages: [{ role: 'user', content: 'ahead' }] };
    await using server = await startServer(
      { requests: [{ path: '/v1/chat/completions', body }] },
      {
        beforeToken: (index, { prompt }) =>
          index === 2 && 'segments' in prompt && JSON.stringify(prompt).includes('ahead') ? gate.passed : undefined,
      },
    );
    await until(() => server.engine.runningCount === 1);
    expect((await server.ask('now')).cache).toBe('miss');
    await until(async () => (await server.count('cancelled')) === 1);
    await until(() => server.engine.runningCount === 0);
    expect(await server.count('computed')).toBe(0);
    gate.open();
    const { value } = await scrape(server.url);
    expect(value('autoglm_requests_total', { outcome: 'abandoned', code: 'client_closed_request' })).toBe(1);
    expect(value('autoglm_requests_total', { outcome: 'failed' })).toBe(0);
  });

  it('keeps within its budget', async () => {
    const requests = Array.from({ length: 20 }, (_, index) => ({
      path: '/v1/chat/completions' as const,
      body: { model: 'default', temperature: 0, messages: [{ role: 'user', content: `question ${index}` }] },
    }));
    await using server = await startServer({ requests, tokens_per_minute: 200 });
    await until(async () => (await server.count('computed')) >= 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await server.count('computed')).toBeLessThan(12);
  });

  it('counts what nobody asked for', async () => {
    const body = { model: 'default', temperature: 0, messages: [{ role: 'user', content: 'ahead' }] };
    await using server = await startServer(
      { requests: [{ path: '/v1/chat/completions', body }], every_seconds: 1 },
      {},
      { ttl_seconds: 1, stale_seconds: 0, ttl_jitter: 0, early_refresh: 0 },
    );
    await until(async () => (await server.count('wasted')) >= 1);
    expect(await server.count('used')).toBe(0);
  });
});
