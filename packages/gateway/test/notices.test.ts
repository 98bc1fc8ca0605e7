import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../src/common/words-of-error.ts';
import { createMockEngine, defaultConfig, startGateway, type Config } from '../src/main.ts';
import { Notices } from '../src/notices.ts';
import { linesOf, logsTo, makeFolder } from './observability/logs/support.ts';
import { freePort } from './services/programs.ts';
import { hasRedis, startRedis } from './services/redis.ts';
import { until } from './support.ts';

/** A gateway in front of the mock, and what it says beside its answers. */
async function startNoticed(changes: Partial<Config>) {
  const notices: string[] = [];
  const config = { ...defaultConfig, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 }, ...changes };
  const gateway = await startGateway({ config, engine: createMockEngine(), onNotice: (notice) => notices.push(notice) });
  return { gateway, notices, [Symbol.asyncDispose]: () => gateway.drain() };
}

describe('whoever starts a gateway', () => {
  it('is told which of its fields names a Redis that is not there, and what becomes of requests', async () => {
    using folder = makeFolder();
    const redis_url = `redis://localhost:${await freePort()}`;
    await using server = await startNoticed({
      cache: { ...defaultConfig.cache, enabled: true, redis_url },
      limits: { ...defaultConfig.limits, key: { requests_per_minute: 100 }, redis_url },
      sessions: { ...defaultConfig.sessions, redis_url },
      events: { ...defaultConfig.events, redis_url },
      observability: { ...defaultConfig.observability, logs: logsTo(folder.file('log')) },
    });
    await until(() => server.notices.length >= 4);
    expect(server.notices.toSorted().map((notice) => notice.replace(/\(.*ECONNREFUSED.*\)/, '(why)'))).toEqual([
      'cache.redis_url: Redis cannot be reached (why). Meanwhile answers are kept in memory alone.',
      'events.redis_url: Redis cannot be reached (why). Meanwhile events are refused with 503.',
      'limits.redis_url: Redis cannot be reached (why). Meanwhile each gateway holds its callers to the limits by itself.',
      'sessions.redis_url: Redis cannot be reached (why). Meanwhile sessions are refused with 503.',
    ]);
    await server.gateway.drain();
    expect(
      linesOf(folder.file('log'))
        .filter(({ msg }) => msg === 'Redis cannot be reached')
        .map(({ level, field }) => [level, field])
        .toSorted(),
    ).toEqual(['cache', 'events', 'limits', 'sessions'].map((of) => [expect.anything(), `${of}.redis_url`]));
  });

  it.runIf(hasRedis)('is told when it is there again', async () => {
    await using redis = await startRedis();
    await redis.kill();
    await using server = await startNoticed({ sessions: { ...defaultConfig.sessions, redis_url: redis.url } });
    await until(() => server.notices.length === 1);
    await redis.start();
    await until(() => server.notices.length === 2);
    expect(server.notices[1]).toBe('sessions.redis_url: Redis is there again.');
  });

  it('is told of a folder that was made for a database', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-notices-'));
    const sqlite_path = path.join(folder, 'a', 'b', 'batches.sqlite');
    for (const notices of [[`batches.sqlite_path: the folder ${path.dirname(sqlite_path)} was not there, and has been made.`], []]) {
      await using server = await startNoticed({ batches: { ...defaultConfig.batches, sqlite_path } });
      expect((await fetch(`${server.gateway.url}/v1/batches`)).status).toBe(200);
      expect(server.notices).toEqual(notices);
    }
    rmSync(folder, { recursive: true });
  });

  it('is told once why batches wait', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-notices-'));
    writeFileSync(path.join(folder, 'file'), '');
    await using server = await startNoticed({
      batches: { ...defaultConfig.batches, sqlite_path: path.join(folder, 'file', 'batches.sqlite') },
    });
    await until(() => server.notices.length === 1);
    expect(server.notices[0]).toMatch(/^Batches wait: .*file/);
    rmSync(folder, { recursive: true });
  });
});

it('each reason for which batches wait is said once, in whatever order they come, and ever other ones soon no more', () => {
  const said: string[] = [];
  const notices = new Notices((notice) => said.push(notice));
  for (let count = 0; count < 10; count += 1) notices.onBatchFailure(new Error(count % 2 ? 'locked' : 'no room'));
  expect(said).toEqual(['Batches wait: no room', 'Batches wait: locked']);
  for (let count = 0; count < 1000; count += 1) notices.onBatchFailure(new Error(`port ${count}`));
  expect(said).toHaveLength(9);
  expect(said.at(-1)).toMatch(/in the log alone/);
});

it.each<[unknown, string]>([
  [new Error('no'), 'no'],
  [
    new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')]),
    'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1',
  ],
  [new AggregateError([]), 'AggregateError'],
  [Object.assign(new Error(''), { code: 'ECONNRESET' }), 'ECONNRESET'],
  ['text', 'text'],
])('%o says %s', (error, words) => {
  expect(wordsOf(error)).toBe(words);
});
