import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ConfigError, loadConfig, startGateway, type Config, type Gateway } from '../../src/main.ts';
import { fakeModel } from './fake-backend.ts';

export { ConfigError };

export interface RemoteGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly url: string;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  get(path: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>;
}

/** A real gateway on a free port, in front of these servers; `extra` is added to every entry, or to each its own. */
export async function startRemoteGateway(
  urls: readonly string[],
  {
    router,
    admission,
    extra = {},
    env = {},
  }: { router?: object; admission?: object; extra?: object | ((index: number) => object); env?: Record<string, string> } = {},
): Promise<RemoteGateway> {
  const engines = urls.map((url, index) => ({
    kind: 'openai',
    name: `fake-${index}`,
    url,
    model: fakeModel,
    ...(typeof extra === 'function' ? (extra as (index: number) => object)(index) : extra),
  }));
  return startGatewayWith({ engines, ...(router && { router }), ...(admission && { admission }) }, env);
}

/** From the contents of a configuration file. */
export async function startGatewayWith(file: Record<string, unknown>, env: Record<string, string> = {}): Promise<RemoteGateway> {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-router-'));
  const name = path.join(folder, 'config.yaml');
  // JSON is YAML.
  writeFileSync(name, JSON.stringify({ server: { port: 0, drain_timeout_ms: 1 }, ...file }));
  const config: Config = loadConfig({ file: name, env });
  rmSync(folder, { recursive: true });
  const gateway = await startGateway({ config, env });
  return {
    gateway,
    url: gateway.url,
    post: (to, body, init = {}) =>
      fetch(`${gateway.url}${to}`, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
      }),
    async get(from) {
      const response = await fetch(`${gateway.url}${from}`);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

export const chat = '/v1/chat/completions';
export const chatBody = { model: fakeModel, messages: [{ role: 'user', content: 'Hello' }] };

export interface Chunk {
  readonly id?: string;
  readonly model?: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Record<string, unknown>;
    readonly finish_reason: string | null;
    readonly [field: string]: unknown;
  }[];
  readonly usage?: Record<string, unknown> | null;
  readonly error?: { readonly code: string };
  readonly [field: string]: unknown;
}

/** The events of a stream, which must end with `[DONE]`. */
export function chunksOf(text: string): Chunk[] {
  const events = text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
  if (events.pop() !== '[DONE]') throw new Error(`the stream does not end with [DONE]: ${text}`);
  return events.map((event) => JSON.parse(event) as Chunk);
}

export function textOf(chunks: readonly Chunk[], index = 0): string {
  return chunks
    .flatMap(({ choices }) => choices ?? [])
    .filter((choice) => choice.index === index)
    .map(({ delta, text }) => delta?.['content'] ?? text ?? '')
    .join('');
}

/** Waits until the condition holds; the test's own timeout bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
