import { describe, expect, it } from 'vitest';
import { createGate, until } from '../support.ts';
import { question, seen, startCachingServer } from './support.ts';

describe('the response cache', () => {
  it('answers the same question again without an engine, and says so', async () => {
    await using server = await startCachingServer();
    const first = await seen(await server.ask(question));
    const second = await seen(await server.ask(question));
    expect(first).toMatchObject({
      cache: 'miss',
      text: '你好，世界！',
      note: { result: 'miss' },
      usage: { prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(second).toMatchObject({
      cache: 'exact',
      text: first.text,
      note: { result: 'exact', level: 'memory', key: first.note?.['key'], age_ms: expect.any(Number) },
    });
    expect(second.usage).toEqual({ ...first.usage, prompt_tokens_details: { cached_tokens: first.usage?.['prompt_tokens'] } });
    expect(server.engine.requests).toHaveLength(1);
  });

  it('answers streams from whole answers, and whole answers from streams, with the same parts', async () => {
    await using server = await startCachingServer();
    const stream = { ...question, stream: true };
    const first = await (await server.ask(stream)).text();
    const again = await server.ask(stream);
    expect(again.headers.get('x-autoglm-cache')).toBe('exact');
    const texts = (body: string) => [...body.matchAll(/"delta":(\{.*?\})/g)].map(([, delta]) => delta);
    expect(texts(await again.text())).toEqual(texts(first));
    expect(await seen(await server.ask(question))).toMatchObject({ cache: 'exact', text: '你好，世界！' });
    expect(server.engine.requests).toHaveLength(1);
  });

  it('follows the request: sampled answers only where it wants them', async () => {
    await using server = await startCachingServer();
    const results = async (body: object, headers?: Record<string, string>) => [
      (await server.ask(body, headers)).headers.get('x-autoglm-cache'),
      (await server.ask(body, headers)).headers.get('x-autoglm-cache'),
    ];
    const { temperature: _, ...sampled } = question;
    expect(await results(sampled)).toEqual(['off', 'off']);
    expect(await results({ ...sampled, seed: 7 })).toEqual(['miss', 'exact']);
    expect(await results({ ...sampled, autoglm: { cache: { mode: 'on' } } })).toEqual(['miss', 'exact']);
    expect(await results({ ...question, autoglm: { cache: { mode: 'off' } } })).toEqual(['off', 'off']);
    expect(await results({ ...question, max_tokens: 2, autoglm: { cache: { mode: 'refresh' } } })).toEqual(['miss', 'miss']);
    expect(await results({ ...question, max_tokens: 2 })).toEqual(['exact', 'exact']);
  });

  it('honours cache-control', async () => {
    await using server = await startCachingServer();
    const ask = async (control: string, body: object = question) =>
      (await server.ask(body, { 'cache-control': control })).headers.get('x-autoglm-cache');
    expect((await server.ask(question, { 'cache-control': 'only-if-cached' })).status).toBe(504);
    expect(await ask('no-store')).toBe('off');
    expect(await ask('no-cache')).toBe('miss');
    expect(await ask('only-if-cached')).toBe('exact');
    expect((await server.ask(question, { 'cache-control': 'no-cache, only-if-cached' })).status).toBe(504);
    expect(server.engine.requests).toHaveLength(2);
    expect(await ask('max-age=1000, min-fresh=10')).toBe('exact');
    expect(await ask('min-fresh=1000')).toBe('miss');
    expect(await ask('max-age=0')).toBe('miss');
    expect(await ask('max-stale, no-transform')).toBe('exact');
    const refused = await server.ask(question, { 'cache-control': 'max-age=soon' });
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param: 'cache-control' } }]);
  });

  it('computes nothing for who wants what is cached alone where nothing is', async () => {
    await using server = await startCachingServer({}, { enabled: false });
    const refused = await server.ask(question, { 'cache-control': 'only-if-cached' });
    expect([refused.status, await refused.json()]).toMatchObject([504, { error: { code: 'not_cached' } }]);
    expect((await server.ask({ ...question, stream: true }, { 'cache-control': 'only-if-cached' })).status).toBe(504);
    expect(server.engine.requests).toEqual([]);
    expect((await server.ask(question)).status).toBe(200);
  });

  it.each([
    [{ mode: 'sometimes' }, 'autoglm.cache.mode'],
    [{ ttl: 3 }, 'autoglm.cache.ttl'],
    [{ ttl_seconds: 0 }, 'autoglm.cache.ttl_seconds'],
    ['on', 'autoglm.cache'],
  ])('refuses autoglm.cache: %j by its field', async (cache, param) => {
    await using server = await startCachingServer();
    const response = await server.ask({ ...question, autoglm: { cache } });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param } }]);
  });

  it('computes once what is asked by many at the same time', async () => {
    const gate = createGate();
    await using server = await startCachingServer({ beforeToken: (index) => (index === 3 ? gate.passed : undefined) });
    const asked = Array.from({ length: 20 }, (_, index) => server.ask({ ...question, stream: index % 2 === 1 }));
    await until(() => server.engine.runningCount === 1);
    gate.open();
    const results = (await Promise.all(asked)).map((response) => response.headers.get('x-autoglm-cache'));
    expect(results.filter((result) => result === 'miss')).toHaveLength(1);
    expect(server.engine.requests).toHaveLength(1);
  });

  it.each([{ mode: 'refresh' }, { mode: 'auto' }])(
    'does not keep what is being computed when its answer is revoked, by %j',
    async (cache) => {
      const gate = createGate();
      let asked = 0;
      await using server = await startCachingServer({
        beforeToken: (index) => {
          if (index === 0) asked += 1;
          return index === 3 && asked === 2 ? gate.passed : undefined;
        },
      });
      const { note } = await seen(await server.ask(question));
      const again = server.ask({ ...question, autoglm: { cache } }, cache.mode === 'auto' ? { 'cache-control': 'max-age=0' } : {});
      await until(() => server.engine.runningCount === 1);
      expect((await fetch(`${server.url}/v1/cache/${String(note?.['key'])}`, { method: 'DELETE' })).status).toBe(200);
      gate.open();
      expect((await seen(await again)).text).toBe('你好，世界！');
      expect((await server.ask(question, { 'cache-control': 'only-if-cached' })).status).toBe(504);
    },
  );

  it('keeps the tenants apart', async () => {
    await using server = await startCachingServer();
    const ask = async (key: string) => (await server.ask(question, { authorization: `Bearer ${key}` })).headers.get('x-autoglm-cache');
    expect([await ask('a'), await ask('b'), await ask('a')]).toEqual(['miss', 'miss', 'exact']);
  });

  it('does not keep what failed', async () => {
    let asked = 0;
    await using server = await startCachingServer({
      beforeToken: (index) => {
        if (index === 0) asked += 1;
        if (index === 2 && asked === 1) throw new Error('the engine broke');
      },
    });
    expect((await server.ask(question)).status).toBe(500);
    expect(await seen(await server.ask(question))).toMatchObject({ cache: 'miss', text: '你好，世界！' });
  });
});
