import {
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockEngine,
  type MockScript,
} from '../../src/main.ts';

export interface SessionServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly url: string;
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Makes a session and gives its address and ETag. */
  create(body?: object, headers?: Record<string, string>): Promise<{ readonly path: string; readonly etag: string }>;
}

/** A real gateway on a free port, in front of the mock. */
export async function startSessionServer(
  sessions: Partial<Config['sessions']> = {},
  script: MockScript = {},
  server: Partial<Config['server']> = {},
): Promise<SessionServer> {
  const engine = createMockEngine(script);
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200, ...server },
    sessions: { ...defaultConfig.sessions, ...sessions },
  };
  const gateway = await startGateway({ config, engine });
  const request: SessionServer['request'] = (method, path, body, headers = {}) =>
    fetch(`${gateway.url}${path}`, {
      method,
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    });
  return {
    gateway,
    engine,
    request,
    url: gateway.url,
    async create(body = chat, headers = {}) {
      const response = await request('POST', '/v1/sessions', body, headers);
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
      const { id } = (await response.json()) as { id: string };
      return { path: `/v1/sessions/${id}`, etag: response.headers.get('etag') as string };
    },
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

export const chat = {
  model: 'default',
  messages: [
    { role: 'system', content: 'Answer briefly.' },
    { role: 'user', content: '你好' },
  ],
  temperature: 0,
};
export const jsonPatch = (etag?: string) => ({
  'content-type': 'application/json-patch+json',
  ...(etag !== undefined && { 'if-match': etag }),
});
export const mergePatch = (etag?: string) => ({
  'content-type': 'application/merge-patch+json',
  ...(etag !== undefined && { 'if-match': etag }),
});
export const addTurn = (content: string, role = 'user') => ({ op: 'add', path: '/messages/-', value: { role, content } });
