import { describe, expect, it } from 'vitest';
import { RedisSessionStore } from '../../src/ingress/sessions/redis-store.ts';
import { hasRedis, useRedis } from '../services/redis.ts';
import { holdUp, until } from '../support.ts';
import { sessionStoreContract } from './store-contract.ts';
import { addTurn, chat, jsonPatch, startSessionServer } from './support.ts';

const limits = { ttlMs: 1000, perTenantMax: 100, sessionsMax: 1000, bytesMax: 1_000_000 };

describe.skipIf(!hasRedis)('sessions in Redis (skipped where redis-server is absent)', () => {
  const redis = useRedis();

  sessionStoreContract(async (own, sources) => {
    await redis.admin.flushall();
    const store = new RedisSessionStore({ url: redis.server.url, timeoutMs: 5000 }, own, sources);
    await until(() =>
      store.read('', 'probe').then(
        () => true,
        () => false,
      ),
    );
    return store;
  });

  it('an answer that came while this process was busy is no silence', async () => {
    const store = new RedisSessionStore({ url: redis.server.url, timeoutMs: 50 }, limits, { now: () => 1, newRevision: () => 'r' });
    await until(() =>
      store.read('', 'probe').then(
        () => true,
        () => false,
      ),
    );
    const read = store.read('', 'absent');
    holdUp(150);
    expect(await read).toBeUndefined();
    await store.close();
  });

  it('leave nothing behind but what is there', async () => {
    await redis.admin.flushall();
    let now = 1;
    const store = new RedisSessionStore(
      { url: redis.server.url, timeoutMs: 5000 },
      { ...limits, sessionsMax: 3 },
      { now: () => now, newRevision: () => `r${now}` },
    );
    await until(() =>
      store.read('', 'probe').then(
        () => true,
        () => false,
      ),
    );
    for (; now < 50; now += 1) await store.create(now % 2 ? 'a' : 'a.b', String(now), 'x'.repeat(now));
    expect(await redis.admin.zcard('{autoglm:sessions}:used')).toBe(3);
    expect(await redis.admin.hget('{autoglm:sessions}:bytes', 'total')).toBe(String(47 + 48 + 49 + 3 * 512));
    expect(await redis.admin.keys('*')).toHaveLength(10);
    for (const id of ['47', '48', '49']) await store.remove(Number(id) % 2 ? 'a' : 'a.b', id, undefined);
    expect(await redis.admin.keys('*')).toEqual(['{autoglm:sessions}:bytes']);
    expect(await redis.admin.hgetall('{autoglm:sessions}:bytes')).toEqual({ total: '0' });
    await store.close();
  });

  it('are the same at every gateway, and of two that change one at once, one does', async () => {
    await using first = await startSessionServer({ redis_url: redis.server.url });
    await using second = await startSessionServer({ redis_url: redis.server.url });
    await until(
      async () =>
        (await first.request('GET', '/v1/sessions/x')).status === 404 && (await second.request('GET', '/v1/sessions/x')).status === 404,
    );
    const { path, etag } = await first.create();
    const patches = await Promise.all(
      [first, second, first, second].map((server, index) => server.request('PATCH', path, [addTurn(String(index))], jsonPatch(etag))),
    );
    expect(patches.map(({ status }) => status).toSorted()).toEqual([204, 412, 412, 412]);
    expect((await second.request('POST', `${path}/completions`, {})).status).toBe(200);
  });

  it('are refused while Redis is away, killed or frozen, and there again when it is', async () => {
    await using server = await startSessionServer({ redis_url: redis.server.url, redis_timeout_ms: 100 });
    await until(async () => (await server.request('GET', '/v1/sessions/x')).status === 404);
    const { path } = await server.create();
    redis.server.freeze();
    const frozen = await server.request('POST', `${path}/completions`, {});
    expect([frozen.status, frozen.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await frozen.json()).toMatchObject({ error: { code: 'session_store_unavailable' } });
    expect((await server.request('POST', '/v1/chat/completions', chat)).status).toBe(200);
    redis.server.thaw();
    await until(async () => (await server.request('GET', path)).status === 200);
    await redis.server.kill();
    expect((await server.request('GET', path)).status).toBe(503);
    await redis.server.start();
    await until(async () => (await server.request('GET', path)).status === 404);
    expect((await server.create()).path).not.toBe(path);
  });
});
