import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { findEngines } from '../src/serve/engines.ts';
import { start } from './support.ts';

/** A server that lists these models to who has the key. */
async function startServer(models: readonly (string | object)[]): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer((message, response) => {
    response.statusCode = message.url === '/v1/models' && message.headers.authorization === 'Bearer secret' ? 200 : 401;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ data: models.map((model) => (typeof model === 'string' ? { id: model } : model)) }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

describe('--engine', () => {
  it('is an engine for each model that the server lists, or for the one that is named', async () => {
    await using server = await startServer(['glm', 'default', 'qwen']);
    const common = { kind: 'openai', url: `${server.url}/v1`, api_key_env: 'KEY' };
    expect(await findEngines({ engine: [server.url], engineKeyEnv: 'KEY' }, { KEY: 'secret' })).toEqual([
      { ...common, model: 'glm' },
      { ...common, model: 'qwen' },
    ]);
    expect(await findEngines({ engine: [`${server.url}/v1`], engineModel: 'own', engineKeyEnv: 'KEY' }, {})).toEqual([
      { ...common, model: 'own' },
    ]);
    expect(await findEngines({}, {})).toBeUndefined();
  });

  it.each([
    [['default'], /its model is called default there/],
    [[], /it lists no models/],
  ])('says what to do about a server that lists %j', async (models, message) => {
    await using server = await startServer(models);
    await expect(findEngines({ engine: [server.url], engineKeyEnv: 'KEY' }, { KEY: 'secret' })).rejects.toThrow(message);
  });

  it('gives the default model of another gateway the name that it came from, once', async () => {
    await using own = await startServer([{ id: 'default', autoglm: { source: 'qwen2.gguf' } }, 'qwen2.gguf', 'glm']);
    await using nameless = await startServer([{ id: 'default', autoglm: { source: 'default' } }, 'glm']);
    const found = await findEngines({ engine: [own.url, nameless.url], engineKeyEnv: 'KEY' }, { KEY: 'secret' });
    const common = { kind: 'openai', url: `${own.url}/v1`, api_key_env: 'KEY' };
    expect(found).toEqual([
      { ...common, model: 'qwen2.gguf', upstream_model: 'default' },
      { ...common, model: 'glm' },
      { ...common, url: `${nameless.url}/v1`, model: 'glm' },
    ]);
    const named = (url: string) => findEngines({ engine: [url], engineModel: 'default', engineKeyEnv: 'KEY' }, { KEY: 'secret' });
    expect(await named(own.url)).toEqual([{ ...common, model: 'qwen2.gguf', upstream_model: 'default' }]);
    await expect(named(nameless.url)).rejects.toThrow(/its model is called default there/);
    await using other = await startServer(['glm']);
    await expect(named(other.url)).rejects.toThrow(/it lists no model of the name default/);
  });

  it('says what is wrong with an address, a key, or what is missing', async () => {
    await using server = await startServer(['glm']);
    await expect(findEngines({ engine: ['nonsense'] }, {})).rejects.toThrow(/must be a URL/);
    await expect(findEngines({ engine: [server.url] }, {})).rejects.toThrow(
      /its models are not known \(GET \/v1\/models is answered with status 401\)/,
    );
    await expect(findEngines({ engineModel: 'glm' }, {})).rejects.toThrow(/--engine, which is missing/);
    await expect(findEngines({ engine: [server.url], engineKeyEnv: 'KEY' }, { KEY: '密钥' })).rejects.toThrow(
      /^The key in KEY cannot be sent/,
    );
    await expect(findEngines({ engine: [server.url.replace('//', '//name:word@')] }, {})).rejects.toThrow(
      /^--engine 127\.0\.0\.1:\d+: a password does not belong in a URL/,
    );
  });

  it('starts a server without an embedded engine', async () => {
    await using server = await startServer(['glm']);
    const program = start(['serve', '--port', '0', '--engine', server.url, '--engine-key-env', 'KEY'], { env: { KEY: 'secret' } });
    const [, url] = await program.saidOn('stdout', /^listening on (\S+)\n/);
    await program.saidOn('stderr', /has the model/);
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['glm']);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
  });
});
