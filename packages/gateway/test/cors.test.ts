import { describe, expect, it } from 'vitest';
import { chatBody, startTestServer } from './support.ts';
import { loadConfig } from '../src/main.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const page = 'https://app.example.com';
const start = (origins: string[], script = {}) => startTestServer(script, { cors: { origins, max_age_seconds: 600 } });
const corsOf = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-') && name !== 'access-control-expose-headers'));
const preflight = (url: string, method: string, headers: string, origin = page) =>
  fetch(url, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
  });

describe('pages of other origins', () => {
  it('may ask what they would be allowed, and need no key for that', async () => {
    await using server = await start([page]);
    const allowed = await preflight(`${server.url}/v1/sessions/x`, 'PATCH', 'authorization,content-type,if-match,x-autoglm-tenant');
    expect(allowed.status).toBe(204);
    expect(corsOf(allowed)).toEqual({
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
      'access-control-allow-headers': 'authorization,content-type,if-match,x-autoglm-tenant',
      'access-control-max-age': '600',
    });
  });

  it('may read answers, streams and errors, and the headers that say something', async () => {
    await using server = await start([page]);
    for (const [route, body, status] of [
      ['/v1/chat/completions', chatBody, 200],
      ['/v1/chat/completions', { ...chatBody, stream: true }, 200],
      ['/v1/chat/completions', {}, 400],
      ['/v1/nothing', {}, 404],
      ['/v1/sessions', chatBody, 201],
    ] as const) {
      const response = await server.post(route, body, { headers: { origin: page } });
      expect([response.status, response.headers.get('access-control-allow-origin'), response.headers.get('vary')]).toEqual([
        status,
        page,
        'origin',
      ]);
      const exposed = response.headers.get('access-control-expose-headers')?.split(', ');
      // Whatever this server says in headers of its own is there to be read.
      const said = [...response.headers.keys()].filter((name) =>
        /^(?:x-autoglm|x-request|x-ratelimit|etag|location|server-timing|retry-after)/.test(name),
      );
      expect(exposed).toEqual(expect.arrayContaining(said));
      await response.arrayBuffer();
    }
  });

  it('are told nothing where they are not among those allowed, nor where there are none', async () => {
    await using listed = await start([page]);
    await using none = await start([]);
    for (const [server, vary] of [
      [listed, 'origin'],
      [none, null],
    ] as const) {
      const response = await server.post('/v1/chat/completions', chatBody, { headers: { origin: 'https://evil.example' } });
      expect([response.status, corsOf(response), response.headers.get('vary')]).toEqual([200, {}, vary]);
      const asked = await preflight(`${server.url}/v1/chat/completions`, 'POST', 'content-type', 'https://evil.example');
      expect([asked.status, corsOf(asked)]).toEqual([405, {}]);
    }
  });

  it.each(['cross-site', 'same-site'])(
    'make it do nothing that their browser sends unasked, where they are not allowed: %s',
    async (site) => {
      await using none = await startTestServer();
      await using listed = await start([page]);
      const from = (origin: string) => ({ origin, 'sec-fetch-site': site });
      const untyped = (server: typeof none, headers: Record<string, string>) =>
        fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: new Blob([JSON.stringify(chatBody)]), headers });
      for (const server of [none, listed]) {
        const refused = await untyped(server, from('https://evil.example'));
        expect([refused.status, await refused.json()]).toMatchObject([403, { error: { code: 'permission_denied' } }]);
        for (const type of ['text/plain; charset=json', 'text/plain;json', 'multipart/form-data; boundary=json', 'text/plain; x=msgpack'])
          expect([type, (await untyped(server, { ...from('https://evil.example'), 'content-type': type })).status]).toEqual([type, 403]);
        const form = new FormData();
        form.append('file', new Blob(['x']), 'a');
        expect((await fetch(`${server.url}/v1/files`, { method: 'POST', body: form, headers: from('https://evil.example') })).status).toBe(
          403,
        );
        expect(server.engine.requests).toHaveLength(0);
        // It was asked for, and somebody before this server said yes; or it is no other origin's.
        for (const headers of [
          { ...from(page), 'content-type': 'application/json' },
          { ...from(page), 'content-type': 'application/vnd.api+json; charset=utf-8' },
          { ...from(page), authorization: 'Bearer key' },
          { 'sec-fetch-site': 'same-origin' },
          {},
        ] as Record<string, string>[])
          expect((await untyped(server, headers)).status).toBe(200);
        expect((await fetch(server.url, { headers: from('https://evil.example') })).status).toBe(200);
      }
      expect((await untyped(listed, from(page))).status).toBe(200);
      expect((await untyped(none, from(page))).status).toBe(403);
    },
  );

  it('may be all there are', async () => {
    await using server = await start(['*']);
    const response = await server.post('/v1/chat/completions', chatBody, { headers: { origin: 'https://any.example' } });
    expect([corsOf(response), response.headers.get('vary')]).toEqual([{ 'access-control-allow-origin': '*' }, null]);
  });

  it.each([
    ['https://app.example.com/', false],
    ['app.example.com', false],
    ['https://App.example.com', false],
    ['https://app.example.com', true],
    ['http://localhost:5173', true],
    ['capacitor://localhost', true],
    ['*', true],
  ])('%s is an origin: %s', (origin, isOne) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-cors-'));
    const file = path.join(folder, 'config.yaml');
    try {
      writeFileSync(file, `server:\n  cors: {origins: [${JSON.stringify(origin)}]}`);
      if (isOne) expect(loadConfig({ file, env: {} }).server.cors).toEqual({ origins: [origin], max_age_seconds: 600 });
      else expect(() => loadConfig({ file, env: {} })).toThrow(/config\.yaml:2: server\.cors\.origins\[0\] is ".+", and must be an origin/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
