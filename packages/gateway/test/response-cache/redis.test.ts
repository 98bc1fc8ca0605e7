import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import OpenAI from 'openai';
import { beforeEach, describe, expect, it } from 'vitest';
import { hasRedis, useRedis } from '../services/redis.ts';
import { createGate, until } from '../support.ts';
import { question, seen, startCachingServer, type CachingServer } from './support.ts';

/** A way to Redis on which every answer takes so long, or waits for something. */
async function startSlowWay(url: string, delayMs: () => number, held: (data: Buffer) => Promise<void> | undefined = () => undefined) {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    const redis = connect(Number(new URL(url).port), '127.0.0.1');
    for (const socket of [client, redis]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), redis.destroy(), sockets.delete(socket)));
    }
    client.on('data', (data) => redis.write(data));
    const pass = (data: Buffer) => void (client.writable && client.write(data));
    redis.on('data', (data) => {
      const waited = held(data);
      // What comes after it waits, too: answers stay in order.
      if (waited) {
        redis.pause();
        void waited.then(() => (pass(data), redis.resume()));
      } else if (delayMs() > 0) setTimeout(() => pass(data), delayMs());
      else pass(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => void (isCut = false),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

describe.skipIf(!hasRedis)('the response cache with Redis (skipped where redis-server is absent)', () => {
  const redis = useRedis();
  beforeEach(() => redis.admin.flushall());

  const answers = () => redis.admin.keys('autoglm:cache:1:answer:*');
  const start = (cache: object = {}) => startCachingServer({}, { redis_url: redis.server.url, redis_timeout_ms: 2000, ...cache });
  /** Asks something new until Redis has it: the gateway is connected. One after the other, and nothing is on its way when it is over. */
  const connected = async (...servers: readonly CachingServer[]) => {
    for (const server of servers) {
      let count = 0;
      await until(async () => {
        await seen(await server.ask({ ...question, seed: (count += 1), max_tokens: 1 }));
        return (await answers()).length > 0;
      });
      await until(async () => (await (await fetch(`${server.url}/metrics`)).text()).includes('autoglm_response_cache_writes_waiting 0\n'));
      await redis.admin.flushall();
    }
  };
  const level = async (server: CachingServer, body: object = question) => {
    const { cache, note } = await seen(await server.ask(body));
    return note?.['level'] ?? cache;
  };

  it('knows at one gateway what another has computed, as streams and as whole answers', async () => {
    await using first = await start();
    await using second = await start();
    await connected(first, second);
    const { note, text } = await seen(await first.ask(question));
    await until(async () => (await answers()).length === 1);
    const client = new OpenAI({ baseURL: `${second.url}/v1`, apiKey: 'none', maxRetries: 0, defaultHeaders: { authorization: null } });
    const { data, response } = await client.chat.completions
      .create({ model: 'default', temperature: 0, messages: [{ role: 'user', content: '你好' }], stream: true })
      .withResponse();
    let streamed = '';
    for await (const chunk of data) streamed += chunk.choices[0]?.delta.content ?? '';
    expect([streamed, response.headers.get('x-autoglm-cache')]).toEqual([text, 'exact']);
    expect(await level(second)).toBe('memory');
    expect(second.engine.requests.filter(({ maxTokens }) => maxTokens === undefined)).toHaveLength(0);
    const told = (await (await fetch(`${second.url}/v1/cache/${String(note?.['key'])}`)).json()) as object;
    expect(told).toMatchObject({ object: 'cache.entry', model: 'default', engine: 'mock', completion_tokens: 6, finish_reasons: ['stop'] });
    expect(JSON.stringify(told)).not.toContain('你好');
  });

  it('revokes an answer everywhere, for its tenant alone', async () => {
    await using first = await start();
    await using second = await start();
    await connected(first, second);
    const { note } = await seen(await first.ask(question));
    await until(async () => (await answers()).length === 1);
    expect(await level(second)).toBe('redis');
    const revoke = (headers: Record<string, string> = {}) =>
      fetch(`${first.url}/v1/cache/${String(note?.['key'])}`, { method: 'DELETE', headers });
    expect((await revoke({ authorization: 'Bearer other' })).status).toBe(404);
    expect(await level(second)).toBe('memory');
    expect(await (await revoke()).json()).toMatchObject({ deleted: true });
    expect((await revoke()).status).toBe(404);
    expect(await answers()).toEqual([]);
    const onlyIfCached = async () => (await second.ask(question, { 'cache-control': 'only-if-cached' })).status;
    await until(async () => (await onlyIfCached()) === 504);
  });

  it('says that it cannot revoke while Redis is silent, and revokes when it answers', async () => {
    let delayMs = 0;
    await using way = await startSlowWay(redis.server.url, () => delayMs);
    await using first = await start();
    await using second = await start({ redis_url: way.url, redis_timeout_ms: 50 });
    await connected(first, second);
    const { note } = await seen(await first.ask(question));
    await until(async () => (await answers()).length === 1);
    const ask = (method: string) => fetch(`${second.url}/v1/cache/${String(note?.['key'])}`, { method });
    delayMs = 500;
    for (const method of ['DELETE', 'GET']) {
      const refused = await ask(method);
      expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toMatchObject([
        503,
        '1',
        { error: { code: 'cache_unavailable' } },
      ]);
    }
    delayMs = 0;
    await until(async () => (await ask('DELETE')).status === 200);
    expect(await answers()).toEqual([]);
    expect((await ask('DELETE')).status).toBe(404);
    await until(async () => (await first.ask(question, { 'cache-control': 'only-if-cached' })).status === 504);
  });

  it('keeps a revocation that Redis did not confirm, and gives the answer to nobody meanwhile', async () => {
    await using way = await startSlowWay(redis.server.url, () => 0);
    await using first = await start({ redis_url: way.url });
    await using second = await start();
    await connected(first, second);
    const { note } = await seen(await first.ask(question));
    await until(async () => (await answers()).length === 1);
    expect(await level(second)).toBe('redis');
    way.cut();
    expect((await fetch(`${first.url}/v1/cache/${String(note?.['key'])}`, { method: 'DELETE' })).status).toBe(503);
    const onlyIfCached = async (server: CachingServer) => (await server.ask(question, { 'cache-control': 'only-if-cached' })).status;
    expect(await onlyIfCached(first)).toBe(504);
    way.mend();
    await until(async () => {
      expect(await onlyIfCached(first)).toBe(504);
      return (await answers()).length === 0;
    });
    await until(async () => (await onlyIfCached(second)) === 504);
  });

  it('does not bring back by a late reply what was revoked meanwhile', async () => {
    const gate = createGate();
    let isHeld = false;
    await using way = await startSlowWay(
      redis.server.url,
      () => 0,
      (data) => {
        if (!data.includes('"completionTokens":3')) return undefined;
        isHeld = true;
        return gate.passed;
      },
    );
    await using first = await start();
    await using second = await start({ redis_url: way.url, redis_timeout_ms: 10_000 });
    await connected(first, second);
    const cut = { ...question, max_tokens: 3 };
    const revoked = await seen(await first.ask(cut));
    const marker = await seen(await first.ask(question));
    await until(async () => (await answers()).length === 2);
    expect(await level(second)).toBe('redis');
    const late = second.ask(cut);
    await until(() => isHeld);
    const revoke = async ({ note }: typeof revoked) =>
      (await fetch(`${first.url}/v1/cache/${String(note?.['key'])}`, { method: 'DELETE' })).status;
    expect([await revoke(revoked), await revoke(marker)]).toEqual([200, 200]);
    // Revocations are heard in order: with the second one gone from memory, the first was heard.
    await until(async () => (await (await fetch(`${second.url}/metrics`)).text()).includes('autoglm_response_cache_revoked_total 1'));
    gate.open();
    expect(await seen(await late)).toMatchObject({ cache: 'miss', text: '你好，' });
    expect((await second.ask(cut, { 'cache-control': 'only-if-cached' })).status).toBe(504);
  });

  it('computes what is poisoned, and says nothing wrong', async () => {
    await using first = await start();
    await connected(first);
    await seen(await first.ask(question));
    await until(async () => (await answers()).length === 1);
    const [key] = await answers();
    await redis.admin.set(key as string, ((await redis.admin.get(key as string)) as string).replace('世', '地'));
    await using second = await start();
    await connected(second);
    await redis.admin.set(key as string, 'x'.repeat(100));
    expect(await seen(await second.ask(question))).toMatchObject({ cache: 'miss', text: '你好，世界！' });
  });

  it('answers every request while Redis is killed, started again and slow', async () => {
    let delayMs = 0;
    await using way = await startSlowWay(redis.server.url, () => delayMs);
    await using server = await start({ redis_url: way.url, redis_timeout_ms: 50, max_bytes: 65_536 });
    await connected(server);
    const over = new AbortController();
    let asked = 0;
    const failures: string[] = [];
    const load = Array.from({ length: 8 }, async (_, worker) => {
      while (!over.signal.aborted) {
        const content = `${worker % 4} ${(asked += 1) % 150}`;
        const { status, text } = await seen(await server.ask({ ...question, messages: [{ role: 'user', content }] }));
        if (status !== 200 || text !== '你好，世界！') failures.push(`${status} ${text}`);
      }
    });
    const more = async (count: number) => {
      const before = asked;
      await until(() => asked > before + count);
    };
    await more(150);
    await redis.server.kill();
    await more(150);
    await redis.server.start();
    await more(150);
    delayMs = 400;
    await more(150);
    delayMs = 0;
    await more(100);
    over.abort();
    await Promise.all(load);
    expect(failures).toEqual([]);
  });
});
