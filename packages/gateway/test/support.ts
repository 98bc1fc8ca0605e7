import type { AddressInfo } from 'node:net';
import { createMockEngine, defaultConfig, startGateway, type Config, type Gateway, type MockEngine, type MockScript } from '../src/main.ts';

export interface TestServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly url: string;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

type ServerConfig = Partial<Config['server']>;
type ModelConfig = Partial<Config['model_config']>;
type ObservabilityConfig = Partial<Config['observability']>;

/** A real gateway on a free port, in front of the mock. */
export async function startTestServer(
  script: MockScript = {},
  server: ServerConfig = {},
  model: ModelConfig = {},
  observability: ObservabilityConfig = {},
  more: Partial<Config> = {},
): Promise<TestServer> {
  const engine = createMockEngine(script);
  const config = {
    ...defaultConfig,
    ...more,
    observability: { ...defaultConfig.observability, ...observability },
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200, ...server },
    model_config: { ...defaultConfig.model_config, ...model },
  };
  const gateway = await startGateway({ config, engine });
  return {
    gateway,
    engine,
    url: gateway.url,
    post: (path, body, init = {}) =>
      fetch(`${gateway.url}${path}`, {
        method: 'POST',
        body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
      }),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

export const chatBody = { model: 'default', messages: [{ role: 'user', content: '你好' }] };

export function portOf(url: string): number {
  return Number(new URL(url).port) satisfies AddressInfo['port'];
}

/** A gate that a script waits at until the test opens it. */
export function createGate(): { readonly passed: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

/** Waits until the condition holds; the test's own timeout bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

/** As a collection of garbage, or a model's modules that are compiled, holds up the loop. */
export function holdUp(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
