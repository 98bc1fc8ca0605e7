import { describe, expect, it } from 'vitest';
import { keyOfTenant } from '../src/common/key-of-tenant.ts';
import { chatBody, startTestServer, type TestServer } from './support.ts';

async function scopesOf(
  server: TestServer,
  requests: readonly { readonly headers?: Record<string, string>; readonly tenant?: string }[],
): Promise<readonly (string | undefined)[]> {
  for (const { headers = {}, tenant } of requests) {
    const response = await server.post(
      '/v1/chat/completions',
      { ...chatBody, ...(tenant !== undefined && { autoglm: { tenant } }) },
      { headers },
    );
    expect(response.status).toBe(200);
    await response.json();
  }
  return server.engine.requests.map(({ cacheScope }) => cacheScope);
}

describe('tenants', () => {
  const key = (name: string) => ({ authorization: `Bearer ${name}` });

  it('are told apart by their keys and by the names they give, and a name does not lead into another key’s', async () => {
    await using server = await startTestServer();
    const [none, keyA, keyB, nameX, nameY, keyAnameX, ...again] = await scopesOf(server, [
      {},
      { headers: key('a') },
      { headers: key('b') },
      { tenant: 'x' },
      { tenant: 'y' },
      { headers: key('a'), tenant: 'x' },
      {},
      { headers: key('a') },
      { headers: { 'x-autoglm-tenant': 'x' } },
      { headers: { ...key('a'), 'x-autoglm-tenant': 'x' } },
    ]);
    expect(none).toBe('');
    expect(new Set([none, keyA, keyB, nameX, nameY, keyAnameX]).size).toBe(6);
    expect(again).toEqual([none, keyA, nameX, keyAnameX]);
  });

  it.each(['门店', 'Zürich', '🚗'])('have one name in a header and in a body: %s', async (tenant) => {
    await using server = await startTestServer();
    const header = (name: string) => ({ headers: { 'x-autoglm-tenant': name } });
    const [inBody, inHeader] = await scopesOf(server, [{ tenant }, header(Buffer.from(tenant).toString('latin1'))]);
    expect(inHeader).toBe(inBody);
    expect((await server.post('/v1/chat/completions', chatBody, header(Buffer.from('门'.repeat(257)).toString('latin1')))).status).toBe(
      400,
    );
  });

  it('may be named in Latin-1', async () => {
    await using server = await startTestServer();
    const [inBody, inHeader] = await scopesOf(server, [{ tenant: 'Zürich' }, { headers: { 'x-autoglm-tenant': 'Zürich' } }]);
    expect(inHeader).toBe(inBody);
  });

  it('tell whose key names them', async () => {
    await using server = await startTestServer();
    const scopes = (await scopesOf(server, [
      { headers: key('a') },
      { headers: key('a'), tenant: 'x' },
      { headers: key('a'), tenant: 'y.z' },
      { headers: key('b'), tenant: 'x' },
      {},
      { tenant: 'x' },
    ])) as string[];
    const [keyA, keyB] = [scopes[0], scopes[3]].map((scope) => keyOfTenant(scope as string));
    expect(scopes.map(keyOfTenant)).toEqual([keyA, keyA, keyA, keyB, '', '']);
    expect(keyA).not.toBe(keyB);
  });

  it('are the same however the scheme of their key is written', async () => {
    await using server = await startTestServer();
    const spellings = ['Bearer a', 'bearer a', 'BEARER  a '];
    const scopes = await scopesOf(
      server,
      spellings.map((authorization) => ({ headers: { authorization } })),
    );
    expect(new Set(scopes).size).toBe(1);
  });

  it('do not leave their keys in a scope', async () => {
    await using server = await startTestServer();
    const [scope] = await scopesOf(server, [{ headers: key('sk-very-secret') }]);
    expect(scope).not.toContain('secret');
  });

  it.each([
    [{ autoglm: { tenant: '' } }, {}, 'autoglm.tenant'],
    [{ autoglm: { tenant: 7 } }, {}, 'autoglm.tenant'],
    [{}, { 'x-autoglm-tenant': 't'.repeat(257) }, 'x-autoglm-tenant'],
  ])('must have names of a sensible length: %j %j', async (body, headers, param) => {
    await using server = await startTestServer();
    const response = await server.post('/v1/chat/completions', { ...chatBody, ...body }, { headers: headers as Record<string, string> });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
  });
});
