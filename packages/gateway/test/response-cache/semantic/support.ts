import type { Engine, GenerateRequest } from '@open-autoglm/protocol';
import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type MockEmbeddings,
  type MockEmbeddingsScript,
} from '../../../src/main.ts';

/** An engine that answers each question as it is told; what nobody told it about, with the question's first word. */
export interface AnsweringEngine extends Engine {
  /** Questions as they came, within their prompts. */
  readonly asked: string[];
}

export function answeringEngine(answers: Readonly<Record<string, string>>): AnsweringEngine {
  const mock = createMockEngine();
  const asked: string[] = [];
  return {
    name: 'mock',
    asked,
    get status() {
      return mock.status;
    },
    ready: (signal) => mock.ready(signal),
    tokenize: (...args) => mock.tokenize(...args),
    countTokens: (...args) => mock.countTokens(...args),
    async *generate(request) {
      const prompt = promptOf(request);
      asked.push(prompt);
      // The longest that fits: one question may be part of another.
      const known = Object.keys(answers)
        .filter((question) => prompt.includes(question))
        .toSorted((a, b) => b.length - a.length)[0];
      const text = known === undefined ? prompt : (answers[known] as string);
      yield { type: 'prompt-end', promptTokens: prompt.length, cachedTokens: 0, queueMs: 0, prefillMs: 0 };
      yield { type: 'text-delta', text, tokenCount: 1 };
      yield { type: 'text-end', finishReason: 'stop', completionTokens: 1, decodeMs: 0 };
    },
    close: () => mock.close(),
  };
}

function promptOf({ prompt }: GenerateRequest): string {
  return 'segments' in prompt ? prompt.segments.map((segment) => ('text' in segment ? segment.text : '')).join('') : '';
}

export interface SemanticServer extends AsyncDisposable {
  readonly url: string;
  readonly engine: AnsweringEngine;
  readonly embeddings: MockEmbeddings;
  ask(
    question: string | object,
    headers?: Record<string, string>,
  ): Promise<{ readonly cache: string | null; readonly text: string; readonly note: Record<string, unknown> | undefined }>;
  metrics(): Promise<string>;
}

export interface SemanticServerOptions {
  readonly answers?: Readonly<Record<string, string>>;
  readonly semantic?: Partial<Config['cache']['semantic']>;
  readonly cache?: Partial<Config['cache']>;
  readonly embeddings?: MockEmbeddingsScript;
}

/** A real gateway with the mocks of both engines, and its semantic cache on. */
export async function startSemanticServer({
  answers = {},
  semantic = {},
  cache = {},
  embeddings: script = {},
}: SemanticServerOptions = {}): Promise<SemanticServer> {
  const engine = answeringEngine(answers);
  const embeddings = createMockEmbeddings({ ...script, model: { dimensions: 64, contextLength: 4096, ...script.model } });
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    cache: {
      ...defaultConfig.cache,
      enabled: true,
      ...cache,
      semantic: { ...defaultConfig.cache.semantic, mode: 'on', check_share: 0, timeout_ms: 5000, ...semantic },
    },
  };
  const gateway = await startGateway({ config, engine, embeddings });
  return {
    url: gateway.url,
    engine,
    embeddings,
    async ask(question, headers = {}) {
      const body = {
        model: 'default',
        temperature: 0,
        messages: [{ role: 'user', content: question }],
        ...(typeof question === 'object' && question),
      };
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      });
      const answer = (await response.json()) as {
        choices?: { message: { content: string } }[];
        autoglm?: { cache?: Record<string, unknown> };
      };
      return {
        cache: response.headers.get('x-autoglm-cache'),
        text: answer.choices?.[0]?.message.content ?? '',
        note: answer.autoglm?.cache,
      };
    },
    metrics: async () => (await fetch(`${gateway.url}/metrics`)).text(),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}
