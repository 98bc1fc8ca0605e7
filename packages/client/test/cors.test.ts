import { expect, it } from 'vitest';
import { createClient, ConnectionError } from '../src/index.ts';
import { startServer } from './support.ts';

const origin = 'https://app.example.com';
/** Of the Fetch standard: what needs no permission, and what a script may always read. */
const simpleTypes = new Set(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']);
const simpleHeaders = new Set(['accept', 'accept-language', 'content-language']);
const readable = new Set(['cache-control', 'content-language', 'content-length', 'content-type', 'expires', 'last-modified', 'pragma']);
const listOf = (header: string | null) => new Set((header ?? '').split(',').map((name) => name.trim().toLowerCase()));

/** A fetch that holds to CORS as a browser's does in a page of another origin: asks first, and shows what the server exposes. */
const pageFetch = (async (url: string, { headers: given, method = 'GET', ...init }: RequestInit = {}) => {
  const headers = new Headers(given);
  const asking = [...headers.keys()].filter(
    (name) => !simpleHeaders.has(name) && !(name === 'content-type' && simpleTypes.has(headers.get(name) as string)),
  );
  if (asking.length > 0 || !['GET', 'HEAD', 'POST'].includes(method)) {
    const allowed = await fetch(url, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': method,
        ...(asking.length > 0 && { 'access-control-request-headers': asking.join(',') }),
      },
    });
    const isAllowed =
      allowed.ok &&
      allowed.headers.get('access-control-allow-origin') === origin &&
      listOf(allowed.headers.get('access-control-allow-methods')).has(method.toLowerCase());
    const names = listOf(allowed.headers.get('access-control-allow-headers'));
    if (!isAllowed || !asking.every((name) => names.has(name))) throw new TypeError('Failed to fetch');
  }
  headers.set('origin', origin);
  const response = await fetch(url, { ...init, method, headers });
  if (response.headers.get('access-control-allow-origin') !== origin) throw new TypeError('Failed to fetch');
  const exposed = listOf(response.headers.get('access-control-expose-headers'));
  const shown = [...response.headers].filter(([name]) => readable.has(name) || exposed.has(name));
  return new Response(response.body, { status: response.status, headers: shown });
}) as typeof fetch;

it.each(['json', 'msgpack'] as const)('the client works in a page of another origin, %s', async (encoding) => {
  await using server = await startServer({}, {}, { cors: { origins: [origin], max_age_seconds: 600 } });
  const client = createClient({ baseUrl: `${server.url}/v1`, apiKey: 'key', tenant: 'page', encoding, fetch: pageFetch });
  const session = await client.sessions.create({ model: 'default', messages: [{ role: 'user', content: '你好' }] });
  session.messages.push({ role: 'user', content: '再见' });
  await session.sync();
  let text = '';
  for await (const { choices } of await session.stream({ max_tokens: 2 })) text += choices[0]?.delta.content ?? '';
  expect([text, session.messages.length]).toEqual(['你好', 3]);
  expect((await session.complete()).choices).toHaveLength(1);
  await session.delete();
  expect(await client.models.list()).not.toEqual([]);
  await expect(client.chat.completions.create({ model: 'default', messages: [] })).rejects.toMatchObject({
    status: 400,
    requestId: expect.any(String),
  });
  client.track('page', 2);
  await client.close();
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('autoglm_client_events_total{event="page"} 1\n');
});

it('the client is refused where the page is not among those allowed', async () => {
  await using server = await startServer();
  await expect(createClient({ baseUrl: `${server.url}/v1`, fetch: pageFetch, retriesMax: 0 }).models.list()).rejects.toBeInstanceOf(
    ConnectionError,
  );
});
