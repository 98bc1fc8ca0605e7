import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryLevel } from '../../src/response-cache/levels/memory-level.ts';
import { RedisConnection } from '../../src/response-cache/levels/redis-connection.ts';
import { RedisLevel } from '../../src/response-cache/levels/redis-level.ts';
import { hasRedis, useRedis } from '../services/redis.ts';
import { holdUp, until } from '../support.ts';
import { levelContract } from './level-contract.ts';

describe('the memory level', () => {
  levelContract(async () => {
    let now = 1000;
    return {
      level: new MemoryLevel<string>({ maxBytes: 65_536, bytesOf: (text) => text.length * 2, now: () => now }),
      now: () => now,
      pass: async (ms) => void (now += ms),
      settled: async () => {},
      async [Symbol.asyncDispose]() {},
    };
  });

  it('stays within its bytes under 100,000 keys, and keeps those that are used', () => {
    const maxBytes = 4 * 1024 * 1024;
    const level = new MemoryLevel<string>({ maxBytes, bytesOf: (text) => text.length * 2, now: () => 0 });
    level.set('used', 'x'.repeat(100), 1);
    for (let index = 0; index < 100_000; index += 1) {
      level.set(`key-${index}`, 'x'.repeat(index % 2000), 1);
      if (index % 100 === 0) level.get('used');
      if (level.bytes > maxBytes) expect.fail(`${level.bytes} bytes`);
    }
    expect(level.get('used')).toBeDefined();
    expect(level.get('key-0')).toBeUndefined();
    expect(level.get('key-99999')).toBeDefined();
    expect(level.counts.evicted).toBe(100_001 - level.entries);
    level.set('huge', 'x'.repeat(maxBytes), 1);
    expect(level.get('huge')).toBeUndefined();
  });
});

describe.skipIf(!hasRedis)('the Redis level (skipped where redis-server is absent)', () => {
  const redis = useRedis();
  beforeEach(() => redis.admin.flushall());

  const open = async ({ timeoutMs = 5000, maxWrites = 100, now = () => performance.now(), retryMs = 20 } = {}) => {
    const connection = new RedisConnection({ url: redis.server.url, timeoutMs, maxPending: 100, now });
    let passedMs = 0;
    const level = new RedisLevel<string>({
      connection,
      prefix: 'p:',
      codec: { encode: (text) => JSON.stringify(text), decode: (text) => JSON.parse(text) as string },
      maxWrites,
      retryMs,
      now: () => Date.now() + passedMs,
    });
    await until(() => connection.isUp);
    return {
      level,
      connection,
      now: () => Date.now() + passedMs,
      /** Redis has a clock of its own: what it counts down is moved instead. */
      async pass(ms: number) {
        passedMs += ms;
        for (const key of await redis.admin.keys('p:*')) await redis.admin.pexpire(key, (await redis.admin.pttl(key)) - ms);
      },
      settled: () => until(() => level.waiting === 0),
      async [Symbol.asyncDispose]() {
        await level.close();
        connection.close();
      },
    };
  };
  levelContract(async () => {
    await redis.admin.flushall();
    return open();
  });

  it('refuses, removes and counts what is not what was kept', async () => {
    await using under = await open();
    const { level } = under;
    for (const key of ['a', 'b', 'c', 'd']) level.set(key, `value of ${key}`, Date.now() + 60_000);
    await under.settled();
    const written = (await redis.admin.get('p:a')) as string;
    await redis.admin.set('p:a', written.replace('value', 'Value'));
    await redis.admin.set('p:b', written);
    await redis.admin.set('p:c', 'nonsense');
    await redis.admin.rpush('p:e', 'a list');
    expect(await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => level.get(key)))).toEqual([
      undefined,
      undefined,
      undefined,
      'value of d',
      undefined,
    ]);
    expect(level.counts).toMatchObject({ poisoned: 3, hits: 1, failed: 1 });
    await until(async () => (await redis.admin.exists('p:a', 'p:b', 'p:c')) === 0);
  });

  it('goes on asking a Redis that refuses what it is asked, for it is there', async () => {
    await using under = await open({ now: () => 0 });
    const { level, connection } = under;
    level.set('a', 'value', Date.now() + 60_000);
    await under.settled();
    await redis.admin.config('SET', 'maxmemory', '1');
    try {
      for (let index = 0; index < 20; index += 1) level.set(`k${index}`, 'x', Date.now() + 60_000);
      await under.settled();
      expect([level.counts.failed, connection.isUp, await level.get('a')]).toEqual([20, true, 'value']);
    } finally {
      await redis.admin.config('SET', 'maxmemory', '0');
    }
  });

  it('an answer that came while this process was busy is no silence', async () => {
    await using under = await open({ timeoutMs: 50 });
    under.level.set('a', 'value', Date.now() + 60_000);
    await under.settled();
    const found = under.level.get('a');
    holdUp(150);
    expect(await found).toBe('value');
  });

  it('drops writes beyond its bound', async () => {
    await using under = await open({ maxWrites: 10 });
    for (let index = 0; index < 100; index += 1) under.level.set(`k${index}`, 'x', Date.now() + 60_000);
    await under.settled();
    expect(under.level.counts).toMatchObject({ kept: 10, skipped: 90 });
  });

  it('tries a revocation again when it is asked for again, and once more when it closes, though Redis was left alone', async () => {
    await using under = await open({ retryMs: 3_600_000, now: () => 0 });
    const { level, connection } = under;
    for (const key of ['asked', 'closed']) level.set(key, 'x', Date.now() + 60_000);
    await under.settled();
    await redis.admin.call('ACL', 'SETUSER', 'default', '-del');
    const refused = { code: 'cache_unavailable', message: expect.stringContaining('Ask again.') };
    for (const key of ['asked', 'closed']) await expect(level.delete(key)).rejects.toMatchObject(refused);
    await expect(level.require('asked')).rejects.toMatchObject(refused);
    await redis.admin.call('ACL', 'SETUSER', 'default', '+del');
    expect([await level.require('asked'), await redis.admin.exists('p:asked'), await redis.admin.exists('p:closed')]).toEqual([
      undefined,
      0,
      1,
    ]);
    while (connection.isUp) await connection.ask(() => Promise.reject(new Error('silent')));
    await until(async () => typeof (await connection.ask((client) => client.ping(), true)) !== 'string');
    await level.close();
    expect(await redis.admin.exists('p:closed')).toBe(0);
  });

  it('takes a value as revoked only when the other gateways can hear of it', async () => {
    await using under = await open({ retryMs: 3_600_000 });
    const stream = 'autoglm:cache:revoked';
    under.level.set('a', 'x', Date.now() + 60_000);
    await under.settled();
    await redis.admin.set(stream, 'not a stream');
    await expect(under.level.delete('a')).rejects.toMatchObject({ code: 'cache_unavailable' });
    expect(under.level.waitingRevocations).toBe(1);
    await redis.admin.del(stream);
    expect(await under.level.require('a')).toBeUndefined();
    expect([under.level.waitingRevocations, await redis.admin.xlen(stream)]).toEqual([0, 1]);
  });

  it('asks a silent Redis only now and then, keeps revocations, and is there again when it is', async () => {
    let now = 0;
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => void warnings.push(name);
    process.on('warning', onWarning);
    await using under = await open({ timeoutMs: 100, now: () => now });
    const { level } = under;
    const laterGets = async (value: string | undefined) => {
      now += 20_000;
      return (await level.get('a')) === value;
    };
    await until(async () => {
      level.set('a', 'x', Date.now() + 60_000);
      await under.settled();
      return laterGets('x');
    });
    const { failed, skipped } = level.counts;
    redis.server.freeze();
    for (let index = 0; index < 20; index += 1) expect(await level.get('a')).toBeUndefined();
    expect(level.counts).toMatchObject({ failed: failed + 5, skipped: skipped + 15 });
    await expect(level.require('a')).rejects.toMatchObject({ code: 'cache_unavailable' });
    level.set('revoked', 'y', Date.now() + 60_000);
    await expect(level.delete('revoked')).rejects.toMatchObject({ code: 'cache_unavailable' });
    expect(level.waitingRevocations).toBe(1);
    redis.server.thaw();
    await until(() => laterGets('x'));
    await until(() => level.waitingRevocations === 0);
    // It may be late once more.
    await until(async () => (await level.require('revoked').catch(() => 'late')) === undefined);
    await redis.server.kill();
    expect(await level.get('a')).toBeUndefined();
    await redis.server.start();
    const answered = level.counts.misses;
    await until(async () => (await laterGets(undefined)) && level.counts.misses > answered);
    await until(() => {
      level.set('a', 'y', Date.now() + 60_000);
      return laterGets('y');
    });
    process.off('warning', onWarning);
    // A connection is given up once, however often it fails until it has closed.
    expect(warnings).toEqual([]);
  });
});
