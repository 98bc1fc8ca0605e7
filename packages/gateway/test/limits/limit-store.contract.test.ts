import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MemoryLimitStore } from '../../src/ingress/limits/memory-store.ts';
import { RedisLimitStore } from '../../src/ingress/limits/redis-store.ts';
import { hasRedis, startRedis, type RedisServer } from '../services/redis.ts';
import { limitStoreContract } from './limit-store.contract.ts';

const now = () => performance.now();
const memory = () => new MemoryLimitStore({ bucketsMax: 1000, now });

limitStoreContract('memory', async () => ({ store: memory(), source: 'memory' }));

describe.skipIf(!hasRedis)('with Redis', () => {
  let redis: RedisServer;
  let databases = 0;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis[Symbol.asyncDispose]());
  const open = (database: number) =>
    connected(new RedisLimitStore({ url: `${redis.url}/${database}`, timeoutMs: 5000, fallback: memory(), pauseMs: 0, now }));

  limitStoreContract('Redis', async () => ({ store: await open((databases += 1)), source: 'redis' }));

  it('two gateways share what there is', async () => {
    const [one, other] = [await open(15), await open(15)];
    const claims = [{ bucket: 'shared', rate: { capacity: 20, drainMs: 3_600_000 }, cost: 1 }];
    const decisions = await Promise.all(Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? one : other).take(claims, 1)));
    expect(decisions.filter(({ waitMs }) => waitMs === 0)).toHaveLength(20);
    await Promise.all([one.close(), other.close()]);
  });

  it('an answer that came while this process was busy is no silence', async () => {
    await using own = await startRedis();
    const store = await connected(new RedisLimitStore({ url: own.url, timeoutMs: 20, fallback: memory(), pauseMs: 0, now }));
    const decision = store.take([{ bucket: 'busy', rate: { capacity: 5, drainMs: 3_600_000 }, cost: 1 }], 1);
    // As a collection of garbage, or a model's modules that are compiled, holds up the loop: for longer than Redis is given.
    const until = now() + 100;
    while (now() < until);
    expect(await decision).toMatchObject({ source: 'redis', waitMs: 0 });
    await store.close();
  });

  it('a Redis is waited for as long as the configuration says, also where that is longer than a connection may take', async () => {
    await using own = await startRedis();
    const store = await connected(new RedisLimitStore({ url: own.url, timeoutMs: 60_000, fallback: memory(), pauseMs: 0, now }));
    const take = () => store.take([{ bucket: 'patient', rate: { capacity: 5, drainMs: 3_600_000 }, cost: 1 }], 1);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    own.freeze();
    const late = take();
    await vi.advanceTimersByTimeAsync(59_999);
    own.thaw();
    expect((await late).source).toBe('redis');
    own.freeze();
    const tooLate = take();
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await tooLate).source).toBe('fallback');
    vi.useRealTimers();
    await store.close();
  });

  it('a Redis that is frozen, killed and back again costs no request', async () => {
    await using own = await startRedis();
    const store = await connected(new RedisLimitStore({ url: own.url, timeoutMs: 50, fallback: memory(), pauseMs: 0, now }));
    const claims = [{ bucket: 'a', rate: { capacity: 5, drainMs: 3_600_000 }, cost: 1 }];
    const take = () => store.take(claims, 1);
    expect(await take()).toMatchObject({ source: 'redis', waitMs: 0 });
    own.freeze();
    for (let count = 0; count < 5; count += 1) expect(await take()).toMatchObject({ source: 'fallback', waitMs: 0 });
    expect((await take()).waitMs).toBeGreaterThan(0);
    own.thaw();
    await own.kill();
    expect((await take()).source).toBe('fallback');
    await own.start();
    while ((await take()).source !== 'redis') await new Promise((resolve) => setTimeout(resolve, 10));
    await store.close();
  });
});

/** It connects by itself; what is asked before that is decided here. */
async function connected(store: RedisLimitStore): Promise<RedisLimitStore> {
  while ((await store.take([{ bucket: 'probe', rate: { capacity: 1e9, drainMs: 1 }, cost: 1 }], 1)).source !== 'redis')
    await new Promise((resolve) => setTimeout(resolve, 5));
  return store;
}
