import { describe, expect, it } from 'vitest';
import { ConfigError, createMockEmbeddings, defaultConfig, startGateway, type MockEmbeddingsScript } from '../../src/main.ts';
import { completeEngines } from '../../src/config/engines.ts';
import { createGate, until } from '../support.ts';

async function start(script: MockEmbeddingsScript) {
  const server = { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 };
  const embeddings = createMockEmbeddings(script);
  const there = await startGateway({
    config: {
      ...defaultConfig,
      server,
      engines: [{ kind: 'mock', name: 'mock', tier: 'edge', weight: 1, max_outstanding: 64, model: 'other' }],
    },
    embeddings,
    env: {},
  });
  const refuse = (_: number, key: string, reason: string): never => {
    throw new ConfigError(`${key}: ${reason}`);
  };
  const engines = completeEngines(
    [{ kind: 'openai', url: `${there.url}/v1`, model: 'mock-embeddings', max_batch_size: 8, batch_timeout_us: 1_000_000 }],
    {},
    refuse,
  );
  const here = await startGateway({ config: { ...defaultConfig, server, engines }, env: {} });
  const ask = async (input: string | string[]) => {
    const response = await fetch(`${here.url}/v1/embeddings`, {
      method: 'POST',
      body: JSON.stringify({ model: 'mock-embeddings', input }),
      headers: { 'content-type': 'application/json' },
    });
    return {
      status: response.status,
      body: (await response.json()) as { data?: { index: number }[]; usage?: { prompt_tokens: number }; error?: { param: string } },
    };
  };
  return { embeddings, ask, refuse, [Symbol.asyncDispose]: async () => void (await Promise.all([here.drain(), there.drain()])) };
}

describe('embeddings of another server', () => {
  it('are asked for together while it works, and each client has its own', async () => {
    const gate = createGate();
    let asked = 0;
    await using servers = await start({ beforeAnswer: () => ((asked += 1) === 1 ? gate.passed : undefined) });
    const first = servers.ask('a');
    await until(() => servers.embeddings.requests.length === 1);
    const others = [servers.ask(['bb', 'ccc']), servers.ask('dddd'), servers.ask('x'.repeat(65))];
    // All three wait here: none of them has reached the other server.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(servers.embeddings.requests).toHaveLength(1);
    gate.open();
    expect((await first).status).toBe(200);
    const [two, one, tooLong] = await Promise.all(others);
    expect([two?.body.data?.map(({ index }) => index), two?.body.usage?.prompt_tokens]).toEqual([[0, 1], 5]);
    expect([one?.body.data?.length, one?.body.usage?.prompt_tokens]).toEqual([1, 4]);
    expect([tooLong?.status, tooLong?.body.error?.param]).toEqual([400, 'input']);
  });

  it('are not joined unless the configuration says so, and a timeout alone is refused', async () => {
    await using servers = await start({});
    expect(completeEngines([{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm' }], {}, servers.refuse)[0]).toMatchObject({
      max_batch_size: undefined,
    });
    expect(() =>
      completeEngines([{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm', batch_timeout_us: 5 }], {}, servers.refuse),
    ).toThrow('batch_timeout_us: without max_batch_size');
  });
});
