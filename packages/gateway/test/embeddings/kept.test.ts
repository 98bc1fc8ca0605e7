import fc from 'fast-check';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { createMockEmbeddings, createMockEngine, defaultConfig, startGateway, type Config } from '../../src/main.ts';
import { KeptEmbeddings } from '../../src/response-cache/intermediate/kept-embeddings.ts';
import { vectorCodec } from '../../src/response-cache/intermediate/vector-codec.ts';
import { hasRedis, startRedis } from '../services/redis.ts';
import { until } from '../support.ts';

async function start(cache: Partial<Config['cache']> = {}) {
  const engine = createMockEmbeddings();
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    cache: { ...defaultConfig.cache, enabled: true, ...cache },
  };
  const gateway = await startGateway({ config, engine: createMockEngine(), embeddings: engine });
  const ask = async (input: unknown, more: object = {}, key = 'a', headers: Record<string, string> = {}) => {
    const response = await fetch(`${gateway.url}/v1/embeddings`, {
      method: 'POST',
      body: JSON.stringify({ model: 'mock-embeddings', input, ...more }),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    });
    const body = (await response.json()) as { data?: { embedding: number[] }[]; usage?: object; error?: { param: string; code: string } };
    return {
      status: response.status,
      cache: response.headers.get('x-autoglm-cache'),
      vectors: body.data?.map(({ embedding }) => embedding),
      usage: body.usage,
      param: body.error?.param,
      code: body.error?.code,
    };
  };
  const chat = async (content: string) =>
    (
      await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: 'default', temperature: 0, messages: [{ role: 'user', content }] }),
        headers: { 'content-type': 'application/json' },
      })
    ).json();
  const classify = async (headers: Record<string, string> = {}, more: object = {}) => {
    const response = await fetch(`${gateway.url}/v1/classify`, {
      method: 'POST',
      body: JSON.stringify({ model: 'mock-embeddings', input: ['aaab', 'ccc'], labels: ['a', 'c'], ...more }),
      headers: { 'content-type': 'application/json', authorization: 'Bearer a', ...headers },
    });
    const body = (await response.json()) as { data?: { label: string }[]; error?: { code: string } };
    return {
      status: response.status,
      cache: response.headers.get('x-autoglm-cache'),
      labels: body.data?.map(({ label }) => label),
      code: body.error?.code,
    };
  };
  return {
    engine,
    ask,
    chat,
    classify,
    url: gateway.url,
    inputs: () => engine.requests.flatMap(({ inputs }) => inputs),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

describe('embeddings that are kept', () => {
  it('are not computed again, in whatever company they are asked for', async () => {
    await using server = await start();
    const first = await server.ask('hello');
    const again = await server.ask('hello');
    expect([first.cache, again.cache]).toEqual(['off', 'exact']);
    expect([again.vectors, again.usage]).toEqual([first.vectors, first.usage]);
    const several = await server.ask(['one', 'hello', 'two']);
    expect(server.inputs()).toEqual(['hello', 'one', 'two']);
    await using other = await start({ intermediate: { ...defaultConfig.cache.intermediate, enabled: false } });
    const expected = await other.ask(['one', 'hello', 'two']);
    expect([several.vectors, several.usage]).toEqual([expected.vectors, expected.usage]);
    await other.ask('hello');
    expect(other.inputs()).toHaveLength(4);
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain(
      'autoglm_embedding_cache_level_total{level="memory",event="hits"} 2',
    );
  });

  it('are each tenant’s own, and each form’s', async () => {
    await using server = await start();
    await server.ask('hello');
    await server.ask('hello', {}, 'b');
    await server.ask('hello', { autoglm: { truncate: true } });
    await server.ask([104, 101]);
    expect(server.inputs()).toEqual(['hello', 'hello', 'hello', [104, 101]]);
  });

  it('are not given, nor kept, for who does not want them to be', async () => {
    await using server = await start();
    const control = (value: string, input: string) => server.ask(input, {}, 'a', { 'cache-control': value });
    await control('no-store', 'hello');
    await server.ask('hello');
    expect((await control('no-store', 'hello')).cache).toBe('off');
    expect((await control('no-cache', 'hello')).cache).toBe('off');
    await control('no-cache', 'new');
    expect((await server.ask(['hello', 'new'])).cache).toBe('exact');
    expect(server.inputs()).toEqual(['hello', 'hello', 'hello', 'hello', 'new']);
  });

  it('are told of where texts are classified by them', async () => {
    await using server = await start();
    expect(await server.classify()).toMatchObject({ cache: 'off', labels: ['a', 'c'] });
    expect(await server.classify()).toMatchObject({ cache: 'exact', labels: ['a', 'c'] });
    expect(await server.classify({ 'cache-control': 'no-cache' })).toMatchObject({ cache: 'off', labels: ['a', 'c'] });
    expect(await server.classify({}, { input: ['new', 'ccc'] })).toMatchObject({ cache: 'off' });
  });

  it('are all that is given where nothing may be computed', async () => {
    await using server = await start();
    const only = { 'cache-control': 'only-if-cached' };
    expect(await server.ask('hello', {}, 'a', only)).toMatchObject({ status: 504, code: 'not_cached' });
    expect(await server.classify(only)).toMatchObject({ status: 504, code: 'not_cached' });
    await server.ask('hello');
    await server.classify();
    expect(await server.ask('hello', {}, 'a', only)).toMatchObject({ status: 200, cache: 'exact' });
    expect(await server.classify(only)).toMatchObject({ status: 200, cache: 'exact' });
    expect(await server.ask(['hello', 'new'], {}, 'a', only)).toMatchObject({ status: 504 });
    expect(server.inputs()).toEqual(['hello', 'a', 'c', 'aaab', 'ccc']);
    await using other = await start({ enabled: false });
    await other.ask('hello');
    expect(await other.ask('hello', {}, 'a', only)).toMatchObject({ status: 504, code: 'not_cached' });
  });

  it('are computed anew for who bounds their age, which nobody knows, and are good for as long as anybody wants', async () => {
    await using server = await start();
    await server.ask('hello');
    expect(await server.ask('hello', {}, 'a', { 'cache-control': 'max-age=60' })).toMatchObject({ status: 200, cache: 'off' });
    expect(await server.ask('hello', {}, 'a', { 'cache-control': 'min-fresh=60' })).toMatchObject({ status: 200, cache: 'exact' });
    expect(server.inputs()).toEqual(['hello', 'hello']);
  });

  it('leave errors as they are: the input is named by its place in the client’s own list', async () => {
    await using server = await start();
    await server.ask('hello');
    expect(await server.ask(['hello', 'fine', 'x'.repeat(65)])).toMatchObject({ status: 400, param: 'input[2]' });
  });

  it('give what the engine gives, and stay within their bytes', async () => {
    const engine = createMockEmbeddings();
    await engine.ready();
    const kept = new KeptEmbeddings({ maxBytes: 2000, ttlMs: 1000, now: () => 0 });
    const { signal } = new AbortController();
    const direct = (inputs: readonly (string | readonly number[])[]) => engine.embed({ id: 'r', inputs }, signal);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('', 'a'),
        fc.array(fc.constantFrom('a', 'b', 'ab', 'abc', 'x y', 'é', '你好'), { minLength: 1, maxLength: 5 }),
        async (tenant, inputs) => {
          const { answer, keptTokens } = await kept.find({ tenant, weightsFingerprint: 'w' }, { id: 'r', inputs }, direct);
          const { vectors, promptTokens } = await direct(inputs);
          expect([answer.vectors, answer.promptTokens]).toEqual([vectors, promptTokens]);
          expect(keptTokens).toBeLessThanOrEqual(promptTokens);
          expect(kept.memory.bytes).toBeLessThanOrEqual(2000);
        },
      ),
    );
    expect(kept.memory.counts.hits).toBeGreaterThan(0);
    expect(kept.memory.counts.evicted).toBeGreaterThan(0);
  });

  it('are written down so that only vectors are read', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1 }), fc.nat(9_999_999), (vector, tokens) => {
        expect(vectorCodec.decode(vectorCodec.encode({ vector, tokens }))).toEqual({ vector, tokens });
      }),
    );
    for (const text of ['', '3', '3 ', '3 AAA=', 'x AAAAAA==', '3 AACAfw==', '3 AAAAAA== '])
      expect(vectorCodec.decode(text)).toBeUndefined();
  });

  it.skipIf(!hasRedis)(
    'are shared through Redis, and computed where they are poisoned (skipped where redis-server is absent)',
    async () => {
      await using redis = await startRedis();
      const admin = new Redis(redis.url);
      const shared = { redis_url: redis.url, redis_timeout_ms: 2000 };
      await using first = await start(shared);
      await using second = await start(shared);
      const keys = () => admin.keys('autoglm:cache:1:embedding:*');
      for (const server of [first, second]) {
        let count = 0;
        await until(async () => {
          await server.ask(`not connected yet ${(count += 1)}`);
          return (await keys()).length > 0;
        });
        // Each was looked for and written, or not: nothing is on its way any more.
        await until(async () => {
          const counts = [
            ...(await (await fetch(`${server.url}/metrics`)).text()).matchAll(
              /autoglm_embedding_cache_level_total\{level="redis",event="(?:kept|misses|skipped|failed)"\} (\d+)/g,
            ),
          ];
          return counts.reduce((sum, [, value]) => sum + Number(value), 0) === 2 * count;
        });
        await admin.flushall();
      }
      const { vectors } = await first.ask('shared');
      await until(async () => (await keys()).length === 1);
      expect(await second.ask('shared')).toMatchObject({ cache: 'exact', vectors });
      await admin.flushall();
      const poisoned = await first.ask('poisoned');
      await until(async () => (await keys()).length === 1);
      await admin.set((await keys())[0] as string, 'x'.repeat(100));
      expect(await second.ask('poisoned')).toMatchObject({ cache: 'off', vectors: poisoned.vectors });
      expect(second.inputs()).not.toContain('shared');
      admin.disconnect();
    },
  );

  it.skipIf(!hasRedis)('leave the answers their Redis when theirs is silent (skipped where redis-server is absent)', async () => {
    await using redis = await startRedis();
    await using server = await start({ redis_url: redis.url, redis_timeout_ms: 1000 });
    const counted = async (of: 'response' | 'embedding', event: string) => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(new RegExp(`autoglm_${of}_cache_level_total\\{level="redis",event="${event}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
    };
    let count = 0;
    await until(async () => {
      await server.chat(`question ${(count += 1)}`);
      await server.ask(`text ${count}`);
      return (await counted('response', 'misses')) > 0 && (await counted('embedding', 'misses')) > 0;
    });
    redis.freeze();
    const { status } = await server.ask(Array.from({ length: 8 }, (_, index) => `asked in silence ${index}`));
    redis.thaw();
    expect([status, await counted('embedding', 'failed')]).toEqual([200, expect.toSatisfy((failed: number) => failed >= 8)]);
    const before = await counted('response', 'misses');
    await server.chat('asked after the silence');
    expect(await counted('response', 'misses')).toBe(before + 1);
  });
});
