import { defaultConfig, startGateway, type Config } from '@open-autoglm/gateway';
import { startEmbeddedEngine } from '@open-autoglm/engine';
import type { Engine, GenerateRequest } from '@open-autoglm/protocol';
import { textOfPrompt, type Message } from './prompts.ts';

export interface Asked {
  readonly text: string;
  readonly promptTokens: number;
  /** The prompt that the engine was given last. */
  readonly prompt: string;
  /** Until the first text, or the whole answer where it was not streamed. */
  readonly ttftMs: number;
  readonly autoglm: { readonly timings: Readonly<Record<string, number>>; readonly [note: string]: unknown };
}

export interface InputServer {
  readonly engine: Engine;
  /** Which of these the model says after the prompt that its engine was given last and this beginning of an answer. */
  choose(beginning: string, choices: readonly string[]): Promise<string>;
  /** Resolves when an answer is complete. Rejects where it is refused. */
  ask(messages: readonly Message[], options: { readonly extensions?: object; readonly maxTokens: number }): Promise<Asked>;
  close(): Promise<void>;
}

/** A gateway in front of the default model, which remembers the prompt that its engine was given last. */
export async function startInputServer({
  model,
  threads,
  embeddings,
  changes = {},
}: {
  model: string;
  threads: number;
  embeddings?: boolean;
  changes?: Partial<Config>;
}): Promise<InputServer> {
  const engine = startEmbeddedEngine({
    model,
    threads,
    contextLength: 8192,
    maxBatchSize: 16,
    stepTokenBudget: 256,
    maxQueue: 256,
    continuousBatching: true,
  });
  let last: GenerateRequest | undefined;
  const recording: Engine = {
    get name() {
      return engine.name;
    },
    get status() {
      return engine.status;
    },
    ready: (signal) => engine.ready(signal),
    generate(request, signal) {
      last = request;
      return engine.generate(request, signal);
    },
    tokenize: (prompt) => engine.tokenize(prompt),
    countTokens: (segments) => engine.countTokens(segments),
    close: () => engine.close(),
  };
  const config: Config = {
    ...defaultConfig,
    ...changes,
    server: { ...defaultConfig.server, port: 0 },
    ...(embeddings && { embeddings: { ...defaultConfig.embeddings, model: 'bge-small-zh', threads } }),
  };
  const gateway = await startGateway({ config, engine: recording });
  await engine.ready();
  return {
    engine,
    async ask(messages, { extensions = {}, maxTokens }) {
      const startedAt = performance.now();
      const body = {
        model: 'default',
        messages,
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: maxTokens,
        temperature: 0,
        autoglm: extensions,
      };
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
      let [text, buffer, ttftMs] = ['', '', 0];
      let end: { usage: { prompt_tokens: number }; autoglm: Asked['autoglm'] } | undefined;
      for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
        buffer += bytes;
        const events = buffer.split('\n\n');
        buffer = events.pop() ?? '';
        for (const event of events) {
          if (event === 'data: [DONE]') continue;
          const chunk = JSON.parse(event.slice('data: '.length)) as {
            choices: { delta: { content?: string } }[];
            usage?: { prompt_tokens: number } | null;
            autoglm?: Asked['autoglm'];
          };
          const said = chunk.choices[0]?.delta.content ?? '';
          if (said !== '' && ttftMs === 0) ttftMs = performance.now() - startedAt;
          text += said;
          if (chunk.usage && chunk.autoglm) end = { usage: chunk.usage, autoglm: chunk.autoglm };
        }
      }
      if (!end) throw new Error('the stream ended without its usage');
      return {
        text,
        ttftMs,
        promptTokens: end.usage.prompt_tokens,
        autoglm: end.autoglm,
        prompt: last && 'segments' in last.prompt ? textOfPrompt(last.prompt.segments) : '',
      };
    },
    async choose(beginning, choices) {
      if (!last || !('segments' in last.prompt)) throw new Error('nothing was asked');
      const prompt = { segments: [...last.prompt.segments, { kind: 'text' as const, text: beginning }] };
      const grammar = { kind: 'choice' as const, options: choices.map((text) => ({ kind: 'literal' as const, text })) };
      let said = '';
      for await (const part of engine.generate(
        { ...last, id: `${last.id}/choice`, prompt, grammar, maxTokens: 32 },
        new AbortController().signal,
      ))
        if (part.type === 'text-delta') said += part.text;
      return said;
    },
    close: () => gateway.drain(),
  };
}
