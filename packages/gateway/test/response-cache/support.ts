import type { GatewayEvent, GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import {
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockEngine,
  type MockScript,
} from '../../src/main.ts';
import type { ModelIdentity } from '../../src/common/model-catalog.ts';

export interface CachingServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly url: string;
  ask(body: object, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
}

export const question = { model: 'default', temperature: 0, messages: [{ role: 'user', content: '你好' }] };

/** A real gateway with its cache on, in front of the mock. */
export async function startCachingServer(script: MockScript = {}, cache: Partial<Config['cache']> = {}): Promise<CachingServer> {
  const engine = createMockEngine(script);
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    cache: { ...defaultConfig.cache, enabled: true, ...cache },
  };
  const gateway = await startGateway({ config, engine });
  return {
    gateway,
    engine,
    url: gateway.url,
    ask: (body, headers = {}, signal) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
        signal: signal ?? null,
      }),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

/** What a client sees of an answer's way through the cache. */
export async function seen(response: Response): Promise<{
  readonly status: number;
  readonly cache: string | null;
  readonly text: string;
  readonly note: Record<string, unknown> | undefined;
  readonly usage: Record<string, unknown> | undefined;
}> {
  const body = (await response.json()) as {
    choices?: { message: { content: string } }[];
    usage?: Record<string, unknown>;
    autoglm?: { cache?: Record<string, unknown> };
  };
  return {
    status: response.status,
    cache: response.headers.get('x-autoglm-cache'),
    text: body.choices?.map(({ message }) => message.content).join('|') ?? '',
    note: body.autoglm?.cache,
    usage: body.usage,
  };
}

export const identity: ModelIdentity = { name: 'm', fingerprint: 'weights', takesPrompts: true };

export interface TestRequest extends GatewayRequest {
  readonly events: GatewayEvent[];
  readonly controller: AbortController;
}

/** A request for stages that are tested by themselves. */
export function testRequest(changes: Partial<GatewayRequest> = {}): TestRequest {
  const events: GatewayEvent[] = [];
  const controller = new AbortController();
  return {
    id: 'r',
    model: 'm',
    input: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] },
    prompts: undefined,
    tenant: '',
    stream: true,
    choiceCount: 1,
    sampling: { temperature: 0 },
    maxTokens: undefined,
    stop: [],
    topLogprobs: undefined,
    signal: controller.signal,
    emit: (event) => events.push(event),
    ...changes,
    events,
    controller,
  };
}

export function textOf(parts: readonly StreamPart[]): string {
  return parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
}

export const answerParts = (...texts: readonly string[]): StreamPart[] => [
  { type: 'prompt-end', index: 0, promptTokens: 5, cachedTokens: 0, queueMs: 1, prefillMs: 2 },
  ...texts.map((text): StreamPart => ({ type: 'text-delta', index: 0, text, tokenCount: 1 })),
  { type: 'text-end', index: 0, finishReason: 'stop', completionTokens: texts.length, decodeMs: 3 },
];
