import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockScript,
} from '../../src/main.ts';
import { formatDuration } from '../../src/ingress/limits/limits.ts';
import { RequestProfile } from '../../src/observability/profile/request-profile.ts';
import { hasRedis, startRedis } from '../services/redis.ts';
import { chatBody, until } from '../support.ts';

interface Server extends AsyncDisposable {
  readonly gateway: Gateway;
  ask(headers?: Record<string, string>, body?: object, path?: string): Promise<Response>;
}

interface Sections {
  readonly auth?: Config['auth'];
  readonly limits?: Partial<Config['limits']>;
  readonly cache?: Config['cache'];
  readonly devices?: Config['devices'];
}

async function start(
  { auth = defaultConfig.auth, limits = {}, cache = defaultConfig.cache, devices = defaultConfig.devices }: Sections,
  script: MockScript = {},
  env: Record<string, string> = {},
): Promise<Server> {
  const config: Config = {
    ...defaultConfig,
    auth,
    cache,
    devices,
    limits: { ...defaultConfig.limits, ...limits },
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
  };
  const gateway = await startGateway({ config, engine: createMockEngine(script), embeddings: createMockEmbeddings(), env });
  return {
    gateway,
    ask: (headers = {}, body = chatBody, route = '/v1/chat/completions') =>
      fetch(`${gateway.url}${route}`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const limitHeaders = (response: Response) =>
  Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('x-ratelimit-') && !name.includes('reset')));

describe('keys', () => {
  const auth: Config['auth'] = {
    keys: [
      { name: 'shop', key_env: 'SHOP_KEY' },
      { name: 'lab', key_sha256: createHash('sha256').update('laboratory').digest('hex'), models: ['mock-embeddings'] },
    ],
  };
  const env = { SHOP_KEY: 'shop-key-1' };

  it('lets in who has one, and says to others what is missing', async () => {
    await using server = await start({ auth }, {}, env);
    expect((await server.ask(bearer('shop-key-1'))).status).toBe(200);
    const none = await server.ask();
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect(await none.json()).toMatchObject({ error: { type: 'invalid_request_error', code: 'missing_api_key', param: null } });
    const wrong = await server.ask(bearer('shop-key-2'));
    expect([wrong.status, ((await wrong.json()) as { error: { code: string } }).error.code]).toEqual([401, 'invalid_api_key']);
    expect((await server.ask({ authorization: 'Basic c2hvcA==' })).status).toBe(401);
    expect((await server.ask({}, { model: 'mock-embeddings', input: 'a' }, '/v1/embeddings')).status).toBe(401);
  });

  it('opens the models that it is for', async () => {
    await using server = await start({ auth }, {}, env);
    const refused = await server.ask(bearer('laboratory'));
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'permission_denied', param: 'model' } });
    expect((await server.ask(bearer('laboratory'), { model: 'mock-embeddings', input: 'a' }, '/v1/embeddings')).status).toBe(200);
  });

  it('opens no other model to read documents with', async () => {
    await using server = await start({ auth: { keys: [{ name: 'shop', key_env: 'SHOP_KEY', models: ['default'] }] } }, {}, env);
    const asking = (model?: string) =>
      server.ask(bearer('shop-key-1'), { ...chatBody, autoglm: { documents: { texts: ['a'], mode: 'embed', model } } });
    const refused = await asking('mock-embeddings');
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'permission_denied', param: 'autoglm.documents.model' } });
    expect((await asking()).status).toBe(200);
  });

  it('closes everything but what probes, scrapers and the console read', async () => {
    await using server = await start({ auth }, {}, env);
    const get = async (route: string, headers = {}) => (await fetch(`${server.gateway.url}${route}`, { headers })).status;
    expect(await Promise.all(['/healthz', '/readyz', '/metrics', '/'].map((route) => get(route)))).toEqual([200, 200, 200, 200]);
    expect(await Promise.all(['/v1/models', '/v1/models/default', '/v1/files', '/nothing'].map((route) => get(route)))).toEqual([
      401, 401, 401, 401,
    ]);
    expect(await get('/v1/models', bearer('shop-key-1'))).toBe(200);
  });

  it("is what OpenAI's client sends", async () => {
    await using server = await start({ auth }, {}, env);
    const client = (apiKey: string) => new OpenAI({ baseURL: `${server.gateway.url}/v1`, apiKey, maxRetries: 0 });
    expect((await client('shop-key-1').models.list()).data).not.toHaveLength(0);
    await expect(client('nonsense').models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(client('laboratory').completions.create({ model: 'default', prompt: 'a' })).rejects.toBeInstanceOf(
      OpenAI.PermissionDeniedError,
    );
  });

  it('that cannot be had keeps the server from starting', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-keys-'));
    const file = path.join(folder, 'key');
    writeFileSync(file, 'a-key-in-a-file\n');
    const startWith = (...keys: Config['auth']['keys']) => start({ auth: { keys } }, {}, env);
    await expect(startWith({ name: 'a' })).rejects.toThrow('auth.keys[0] must say where its key is');
    await expect(startWith({ name: 'a', key_env: 'OTHER' })).rejects.toThrow('the environment variable OTHER holds no key');
    await expect(startWith({ name: 'a', key_file: path.join(folder, 'none') })).rejects.toThrow('auth.keys[0].key_file');
    await expect(startWith({ name: 'a', key_env: 'SHOP_KEY' }, { name: 'b', key_env: 'SHOP_KEY' })).rejects.toThrow('there already');
    await expect(start({ limits: { keys: { nobody: { requests_per_second: 1 } } } })).rejects.toThrow('limits.keys.nobody');
    await using server = await startWith({ name: 'a', key_file: file });
    expect((await server.ask(bearer('a-key-in-a-file'))).status).toBe(200);
    rmSync(folder, { recursive: true });
  });
});

describe('limits', () => {
  it('says what is left, and refuses with 429 and when to come again', async () => {
    await using server = await start({ limits: { key: { requests_per_minute: 2, tokens_per_minute: 1000 } } });
    const first = await server.ask();
    expect(first.status).toBe(200);
    expect(limitHeaders(first)).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '1',
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': String(1000 - 256 - 6),
    });
    expect((await server.ask({}, { ...chatBody, stream: true })).headers.get('x-ratelimit-remaining-requests')).toBe('0');
    const refused = await server.ask();
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(30);
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
    // Another key, and so another bucket.
    expect((await server.ask(bearer('other'))).status).toBe(200);
  });

  it('charges what an answer took in the place of what it might have taken', async () => {
    await using server = await start({ limits: { key: { tokens_per_minute: 1000 } } });
    const remaining = async (body: object) =>
      Number((await server.ask({}, { ...chatBody, ...body })).headers.get('x-ratelimit-remaining-tokens'));
    await remaining({ max_tokens: 900 });
    const usage = ((await (await server.ask()).json()) as { usage: { total_tokens: number } }).usage.total_tokens;
    // Two answers of six tokens were paid; this one is still estimated.
    const left = await remaining({ max_tokens: 6 });
    expect(left).toBeGreaterThanOrEqual(1000 - 2 * usage - 12);
    expect(left).toBeLessThan(1000 - 2 * usage);
  });

  it('gives back what failed before it began, and keeps what was left in the middle', async () => {
    await using server = await start(
      { limits: { key: { tokens_per_minute: 1000 } } },
      { beforeToken: (index) => (index === 2 ? new Promise(() => {}) : undefined) },
    );
    expect((await server.ask({}, { ...chatBody, model: 'none', max_tokens: 900 })).status).toBe(404);
    const left = new AbortController();
    const response = await fetch(`${server.gateway.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...chatBody, stream: true, max_tokens: 900 }),
      headers: { 'content-type': 'application/json' },
      signal: left.signal,
    });
    await response.body?.getReader().read();
    left.abort();
    const refused = await server.ask({}, { ...chatBody, max_tokens: 900 });
    expect(refused.status).toBe(429);
  });

  it('counts tenants of one key apart, and the key over all of them', async () => {
    await using server = await start({ limits: { key: { requests_per_minute: 3 }, tenant: { requests_per_minute: 2 } } });
    const ask = async (tenant: string) => (await server.ask({ 'x-autoglm-tenant': tenant })).status;
    expect([await ask('a'), await ask('a'), await ask('a'), await ask('b'), await ask('b')]).toEqual([200, 200, 429, 200, 429]);
  });

  it('has more for a key that the configuration names', async () => {
    const auth: Config['auth'] = {
      keys: [
        { name: 'big', key_env: 'BIG' },
        { name: 'small', key_env: 'SMALL' },
        { name: 'free', key_env: 'FREE' },
      ],
    };
    await using server = await start(
      { auth, limits: { key: { requests_per_minute: 1 }, keys: { big: { requests_per_minute: 2 }, free: {} } } },
      {},
      { BIG: 'key-of-big', SMALL: 'key-of-small', FREE: 'key-of-free' },
    );
    const ask = async (key: string) => (await server.ask(bearer(key))).status;
    expect([await ask('key-of-big'), await ask('key-of-big'), await ask('key-of-big')]).toEqual([200, 200, 429]);
    expect([await ask('key-of-small'), await ask('key-of-small')]).toEqual([200, 429]);
    const free = await server.ask(bearer('key-of-free'));
    expect([free.status, limitHeaders(free)]).toEqual([200, {}]);
  });

  it('holds embeddings to them too, and counts in the metrics', async () => {
    await using server = await start({ limits: { key: { tokens_per_minute: 20 } } });
    const ask = async (input: string) => (await server.ask({}, { model: 'mock-embeddings', input }, '/v1/embeddings')).status;
    expect([await ask('a text of more than ten'), await ask('a text of more than ten')]).toEqual([200, 429]);
    const metrics = await (await fetch(`${server.gateway.url}/metrics`)).text();
    expect(metrics).toContain('autoglm_rate_limit_decisions_total{result="admitted",source="memory"} 1');
    expect(metrics).toContain('autoglm_rate_limit_decisions_total{result="refused",source="memory"} 1');
  });

  it('holds classes to them, labels as well as texts', async () => {
    await using server = await start({ limits: { key: { tokens_per_minute: 100 } } });
    const ask = (labels: string[]) => server.ask({}, { model: 'mock-embeddings', input: 'a', labels }, '/v1/classify');
    const first = await ask(['b', 'c']);
    expect([first.status, limitHeaders(first)]).toMatchObject([200, { 'x-ratelimit-remaining-tokens': '97' }]);
    expect((await ask(['b'.repeat(400), 'c'])).status).toBe(429);
  });

  it("are told in time to OpenAI's client, which comes again by itself", async () => {
    await using server = await start({ limits: { key: { requests_per_second: 1 } } });
    const client = new OpenAI({ baseURL: `${server.gateway.url}/v1`, apiKey: 'none', maxRetries: 1 });
    const ask = () => client.completions.create({ model: 'default', prompt: 'a' }).withResponse();
    await ask();
    expect((await ask()).response.status).toBe(200);
  });

  it('writes durations as OpenAI does', () => {
    expect([0, 119.2, 1500, 59_999, 360_000].map(formatDuration)).toEqual(['0ms', '120ms', '1.5s', '59.999s', '6m0s']);
  });

  it.skipIf(!hasRedis)('are kept by two gateways together, and by each alone when Redis is gone', async () => {
    await using redis = await startRedis();
    // One more every 15 s: longer than all of this takes.
    const limits = { key: { requests_per_minute: 4 }, redis_url: redis.url, redis_timeout_ms: 2000 };
    await using one = await start({ limits });
    await using other = await start({ limits });
    const metric = async ({ gateway }: Server, source: string) =>
      Number(
        new RegExp(`decisions_total\\{result="admitted",source="${source}"\\} (\\d+)`).exec(
          await (await fetch(`${gateway.url}/metrics`)).text(),
        )?.[1] ?? 0,
      );
    for (const server of [one, other])
      await until(
        async () =>
          ((await server.ask(bearer(crypto.randomUUID()))).ok && (await metric(server, 'redis')) > 0) ||
          (await new Promise<false>((resolve) => setTimeout(resolve, 50, false))),
      );
    const statuses = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => (await (index % 2 === 0 ? one : other).ask()).status),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(4);
    expect(statuses.filter((status) => status === 429)).toHaveLength(36);
    await redis.kill();
    expect((await one.ask()).status).toBe(200);
    expect(await metric(one, 'fallback')).toBeGreaterThan(0);
  });
});

describe('documents', () => {
  const messages = chatBody.messages;
  const reading = (mode: string, text: string, tokensMax?: number) => ({
    ...chatBody,
    messages,
    max_tokens: 6,
    autoglm: { documents: { mode, texts: [text], tokens_max: tokensMax } },
  });

  it.each([
    { mode: 'embed', tokens: 500 + 500 },
    { mode: 'embed', tokensMax: 100, tokens: 500 + 100 },
    { mode: 'summarize', tokens: 500 + 2 * 500 },
    { mode: 'summarize', tokensMax: 100, tokens: 500 + 2 * 100 },
  ])('are estimated with the prompt: $mode, at most $tokensMax tokens of it', async ({ mode, tokensMax, tokens }) => {
    await using server = await start({ limits: { key: { tokens_per_minute: 10_000 } } });
    const { headers } = await server.ask({}, reading(mode, 'x'.repeat(2000), tokensMax));
    // Six tokens of the question, and six of the answer.
    expect(headers.get('x-ratelimit-remaining-tokens')).toBe(String(10_000 - 12 - tokens));
  });

  it.each(['embed', 'summarize'])('are charged what it took to read them: %s', async (mode) => {
    await using server = await start({ limits: { key: { tokens_per_minute: 10_000 } } });
    const { usage, autoglm } = (await (await server.ask({}, reading(mode, 'A few words. '.repeat(10)))).json()) as {
      usage: { total_tokens: number };
      autoglm: { documents: Record<string, number> };
    };
    const { embedded_tokens: embedded = 0, summary_prompt_tokens: read = 0, summary_completion_tokens: written = 0 } = autoglm.documents;
    expect(embedded + read).toBeGreaterThan(0);
    const next = await server.ask({}, { ...chatBody, max_tokens: 6 });
    const left = Number(next.headers.get('x-ratelimit-remaining-tokens'));
    // This one is still estimated: six tokens of the prompt, and six of the answer. The bucket drains meanwhile.
    const spent = usage.total_tokens + embedded + read + written;
    expect(left).toBeGreaterThanOrEqual(10_000 - 12 - spent);
    expect(left).toBeLessThan(10_000 - 12 - usage.total_tokens);
  });
});

it('a follower of what is computed for another is charged nothing', () => {
  const used = (cache: 'miss' | 'inflight') => {
    const profile = new RequestProfile(
      { requestId: 'r', operation: 'chat', startedAtMs: 0, traceparent: undefined, tracestate: undefined },
      () => 1,
    );
    profile.on({ type: 'cache-lookup', result: cache }, 0);
    profile.on({ type: 'engine-chosen', engine: 'e', tier: 't', reason: 'only' }, 0);
    // The engine's tokens are told to who leads.
    profile.on({ type: 'request-end', outcome: 'answered', status: 200 }, 1);
    return profile.tokensUsed;
  };
  expect([used('inflight'), used('miss')]).toEqual([0, undefined]);
});

describe('a turn of a session that is not let in', () => {
  const patch = [{ op: 'add', path: '/messages/-', value: { role: 'user', content: 'more' } }];

  it('changes nothing where the limits refuse it', async () => {
    await using server = await start({ limits: { key: { tokens_per_minute: 1000 } } });
    const created = await server.ask({}, chatBody, '/v1/sessions');
    const { id } = (await created.json()) as { id: string };
    const turn = (more: object) =>
      server.ask({ 'if-match': created.headers.get('etag') as string }, { ...more, autoglm: { patch } }, `/v1/sessions/${id}/completions`);
    expect((await server.ask({}, { ...chatBody, max_tokens: 900, stream: true })).status).toBe(200);
    const refused = await turn({ max_tokens: 1000 });
    expect([refused.status, refused.headers.get('etag')]).toEqual([429, null]);
    expect((await turn({ max_tokens: 1 })).status).toBe(200);
  });

  it('changes nothing where its key does not open the model', async () => {
    const auth: Config['auth'] = { keys: [{ name: 'lab', key_env: 'LAB_KEY', models: ['mock-embeddings'] }] };
    await using server = await start({ auth }, {}, { LAB_KEY: 'lab-key-1' });
    const created = await server.ask(bearer('lab-key-1'), chatBody, '/v1/sessions');
    const etag = created.headers.get('etag') as string;
    const { id } = (await created.json()) as { id: string };
    expect(
      (await server.ask({ ...bearer('lab-key-1'), 'if-match': etag }, { autoglm: { patch } }, `/v1/sessions/${id}/completions`)).status,
    ).toBe(403);
    expect((await fetch(`${server.gateway.url}/v1/sessions/${id}`, { headers: bearer('lab-key-1') })).headers.get('etag')).toBe(etag);
  });
});

describe('routes that generate nothing', () => {
  it('count as requests: creating, patching, reading and deleting sessions, and events; a completion counts once', async () => {
    await using server = await start({ limits: { key: { requests_per_minute: 6, tokens_per_minute: 1_000_000 } } });
    const created = await server.ask({}, chatBody, '/v1/sessions');
    expect([created.status, limitHeaders(created)]).toEqual([
      201,
      { 'x-ratelimit-limit-requests': '6', 'x-ratelimit-remaining-requests': '5' },
    ]);
    const { id } = (await created.json()) as { id: string };
    const at = `${server.gateway.url}/v1/sessions/${id}`;
    const patch = (etag: string) =>
      fetch(at, {
        method: 'PATCH',
        body: '[{"op":"replace","path":"/messages/0/content","value":"hi"}]',
        headers: { 'content-type': 'application/json-patch+json', 'if-match': etag },
      });
    const patched = await patch(created.headers.get('etag') as string);
    expect([patched.status, patched.headers.get('x-ratelimit-remaining-requests')]).toEqual([204, '4']);
    expect((await fetch(at)).headers.get('x-ratelimit-remaining-requests')).toBe('3');
    expect((await server.ask({}, {}, `/v1/sessions/${id}/completions`)).headers.get('x-ratelimit-remaining-requests')).toBe('2');
    const events = { client_id: 'a-client-1', batches: [{ sequence: 1, events: [{ name: 'tap', count: 1 }] }] };
    expect((await server.ask({}, events, '/v1/events')).headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect((await fetch(at, { method: 'DELETE' })).headers.get('x-ratelimit-remaining-requests')).toBe('0');
    for (const refused of [
      await server.ask({}, chatBody, '/v1/sessions'),
      await patch('"x"'),
      await server.ask({}, events, '/v1/events'),
    ]) {
      expect([refused.status, refused.headers.has('retry-after')]).toEqual([429, true]);
      expect(await refused.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
    }
  });

  it('are those of devices, each by itself once it has reported: what others ask for silences none, and no id that is invented has a bucket', async () => {
    await using server = await start({ devices: { ...defaultConfig.devices, enabled: true }, limits: { key: { requests_per_minute: 2 } } });
    const beat = async (id: string) => {
      const response = await server.ask(
        {},
        { cpu: { cores: 4, load: 0 }, memory: { total_bytes: 100, free_bytes: 100 } },
        `/v1/devices/${id}/heartbeat`,
      );
      return [response.status, response.headers.get('x-ratelimit-remaining-requests')];
    };
    const list = async () => (await fetch(`${server.gateway.url}/v1/devices`)).status;
    expect([await beat('a'), await list(), await list()]).toEqual([[204, '1'], 200, 429]);
    expect([await beat('a'), await beat('a'), await beat('a'), await beat('b')]).toEqual([
      [204, '1'],
      [204, '0'],
      [429, '0'],
      [429, '0'],
    ]);
  });

  it('count by the key of the device where keys are checked', async () => {
    const auth: Config['auth'] = { keys: [{ name: 'device', key_env: 'KEY' }] };
    await using server = await start(
      { auth, devices: { ...defaultConfig.devices, enabled: true }, limits: { keys: { device: { requests_per_minute: 2 } } } },
      {},
      { KEY: 'key-of-device' },
    );
    const beat = async (id: string, headers = bearer('key-of-device')) =>
      (
        await server.ask(
          headers,
          { cpu: { cores: 4, load: 0 }, memory: { total_bytes: 100, free_bytes: 100 } },
          `/v1/devices/${id}/heartbeat`,
        )
      ).status;
    expect([await beat('a', bearer('wrong-key')), await beat('a'), await beat('b'), await beat('b')]).toEqual([401, 204, 204, 429]);
  });

  it('are those about an answer that is kept, too', async () => {
    await using server = await start({ cache: { ...defaultConfig.cache, enabled: true }, limits: { key: { requests_per_minute: 1 } } });
    const revoke = async () => (await fetch(`${server.gateway.url}/v1/cache/${'A'.repeat(43)}`, { method: 'DELETE' })).status;
    expect([await revoke(), await revoke()]).toEqual([404, 429]);
  });

  it('are of the tenant that a session names', async () => {
    await using server = await start({ limits: { tenant: { requests_per_minute: 1 } } });
    const named = (tenant: string) => server.ask({}, { ...chatBody, autoglm: { tenant } }, '/v1/sessions');
    expect([(await named('a')).status, (await named('b')).status, (await named('a')).status]).toEqual([201, 201, 429]);
  });
});
