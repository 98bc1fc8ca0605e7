import { createInterface } from 'node:readline/promises';
import { text as readAll } from 'node:stream/consumers';
import { defaultConfig, startGateway } from '@open-autoglm/gateway';
import { overridesOf } from './serve.ts';
import { streamChat, type ChatTurn, type SamplingOptions } from './stream-chat.ts';

export interface ChatOptions {
  readonly url?: string;
  readonly model?: string;
  readonly threads?: number;
  readonly system?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
}

/** One answer, or a conversation when neither an argument nor a pipe brings a prompt. */
export async function chat(prompt: string | undefined, options: ChatOptions): Promise<void> {
  // `| head` closes the pipe early; that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const server = await findServer(options);
  try {
    const asked = prompt ?? (process.stdin.isTTY ? undefined : (await readAll(process.stdin)).trim());
    if (asked === undefined) await converse(server.url, options);
    else await answer(server.url, [...systemTurn(options), { role: 'user', content: asked }], options);
  } finally {
    await server.close();
  }
}

interface Server {
  readonly url: string;
  close(): Promise<void>;
}

/** The server named, or one in this process on a free port: both are asked in the same way. */
async function findServer(options: ChatOptions): Promise<Server> {
  const url = options.url ?? process.env['AUTOGLM_URL'];
  if (url) return { url: url.replace(/\/+$/, ''), close: async () => {} };
  const { model_config } = overridesOf(options);
  const threads = process.env['AUTOGLM_THREADS'];
  const config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, host: '127.0.0.1', port: 0, drain_timeout_ms: 1 },
    model_config: { ...defaultConfig.model_config, ...(threads && { threads: Number(threads) }), ...model_config },
  };
  const gateway = await startGateway({ config });
  return { url: gateway.url, close: () => gateway.drain() };
}

function systemTurn({ system }: ChatOptions): ChatTurn[] {
  return system === undefined ? [] : [{ role: 'system', content: system }];
}

async function converse(url: string, options: ChatOptions): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  let turns = systemTurn(options);
  let running: AbortController | undefined;
  // The first Ctrl-C stops the answer, one at the prompt leaves.
  terminal.on('SIGINT', () => (running ? running.abort() : terminal.close()));
  process.stderr.write('/clear forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C stops an answer\n');
  terminal.setPrompt('› ');
  terminal.prompt();
  for await (const line of terminal) {
    const said = line.trim();
    if (said === '/exit') break;
    if (said === '/clear') turns = systemTurn(options);
    else if (said !== '') {
      running = new AbortController();
      turns.push({ role: 'user', content: said });
      const text = await answer(url, turns, options, running.signal).catch((error: Error) => {
        process.stderr.write(`${error.message}\n`);
        return '';
      });
      running = undefined;
      if (text === '') turns.pop();
      else turns.push({ role: 'assistant', content: text });
    }
    terminal.prompt();
  }
  terminal.close();
}

/** Streams an answer to stdout and says on a terminal's stderr how fast it was. Returns the text. */
async function answer(url: string, turns: readonly ChatTurn[], options: ChatOptions, signal = new AbortController().signal): Promise<string> {
  const startedAt = performance.now();
  let firstAt: number | undefined;
  let text = '';
  let tokens = 0;
  const sampling: SamplingOptions = { temperature: options.temperature, max_tokens: options.maxTokens, seed: options.seed };
  for await (const part of streamChat(url, { model: options.url ? (options.model ?? 'default') : 'default', messages: turns, ...sampling }, signal)) {
    if (part.text !== '') firstAt ??= performance.now();
    text += part.text;
    tokens = part.completionTokens ?? tokens;
    process.stdout.write(part.text);
  }
  process.stdout.write('\n');
  if (process.stderr.isTTY && firstAt !== undefined) {
    const seconds = (performance.now() - firstAt) / 1000;
    process.stderr.write(`${tokens} tokens, first after ${Math.round(firstAt - startedAt)} ms, then ${(tokens / Math.max(seconds, 0.001)).toFixed(0)} tokens/s\n`);
  }
  return text;
}
