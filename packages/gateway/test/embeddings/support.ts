import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Gateway,
  type MockEmbeddings,
  type MockEmbeddingsScript,
} from '../../src/main.ts';

export interface EmbeddingServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEmbeddings;
  readonly url: string;
  embed(body: unknown, init?: RequestInit): Promise<Response>;
}

/** A real gateway on a free port, with the mocks of both engines. */
export async function startEmbeddingServer(script: MockEmbeddingsScript = {}, server: object = {}): Promise<EmbeddingServer> {
  const engine = createMockEmbeddings(script);
  const gateway = await startGateway({
    config: { ...defaultConfig, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200, ...server } },
    engine: createMockEngine(),
    embeddings: engine,
  });
  return {
    gateway,
    engine,
    url: gateway.url,
    embed: (body, init = {}) =>
      fetch(`${gateway.url}/v1/embeddings`, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
      }),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

export const body = { model: 'mock-embeddings', input: 'hello' };
