import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import OpenAI, { toFile } from 'openai';
import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockEmbeddings,
  type MockEngine,
  type MockScript,
} from '../../src/main.ts';

export interface BatchServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly embeddings: MockEmbeddings;
  readonly client: OpenAI;
  clientOf(key: string): OpenAI;
}

export interface BatchServerOptions {
  readonly batches?: Partial<Config['batches']>;
  readonly config?: Partial<Config>;
  readonly script?: MockScript;
  readonly env?: Record<string, string>;
}

/** A folder for databases that goes with the test. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-batches-'));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

export async function startBatchServer(
  sqlitePath: string,
  { batches = {}, config = {}, script = {}, env = {} }: BatchServerOptions = {},
): Promise<BatchServer> {
  const engine = createMockEngine(script);
  const embeddings = createMockEmbeddings();
  const gateway = await startGateway({
    config: {
      ...defaultConfig,
      ...config,
      batches: { ...defaultConfig.batches, sqlite_path: sqlitePath, lease_ms: 1000, ...batches },
      server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    },
    engine,
    embeddings,
    env,
  });
  const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
  return { gateway, engine, embeddings, client: clientOf('one'), clientOf, [Symbol.asyncDispose]: () => gateway.drain() };
}

export interface Line {
  readonly custom_id: string;
  readonly method?: string;
  readonly url?: string;
  readonly body?: object;
}

export function jsonl(lines: readonly (Line | string)[]): string {
  return lines
    .map((line) =>
      typeof line === 'string'
        ? line
        : JSON.stringify({
            method: 'POST',
            url: '/v1/chat/completions',
            body: { model: 'default', messages: [{ role: 'user', content: line.custom_id }] },
            ...line,
          }),
    )
    .join('\n');
}

export async function upload(client: OpenAI, content: string): Promise<string> {
  return (await client.files.create({ file: await toFile(Buffer.from(content), 'requests.jsonl'), purpose: 'batch' })).id;
}

type Endpoint = OpenAI.BatchCreateParams['endpoint'];

export async function createBatch(
  client: OpenAI,
  lines: readonly (Line | string)[],
  endpoint: Endpoint = '/v1/chat/completions',
  completionWindow = '24h',
): Promise<OpenAI.Batch> {
  return client.batches.create({
    input_file_id: await upload(client, jsonl(lines)),
    endpoint,
    completion_window: completionWindow as '24h',
  });
}

/** Asks until it has ended; the test's own timeout bounds it. */
export async function ended(client: OpenAI, id: string): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface OutputLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: Record<string, never> } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export async function readOutput(client: OpenAI, fileId: string | null | undefined): Promise<OutputLine[]> {
  if (!fileId) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OutputLine);
}
