import { UserError } from '../failure.ts';
import { answer } from './answer.ts';
import { converse } from './converse.ts';
import { findServer } from './server.ts';
import type { ChatAddress, ChatSettings } from './stream-chat.ts';

export interface ChatOptions {
  readonly url?: string;
  readonly model?: string;
  readonly system?: string;
  readonly temperature?: number;
  readonly topP?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
}

/** One answer to the prompt, given as words or through a pipe; a conversation when there is a terminal and no prompt. */
export async function chat(words: readonly string[], options: ChatOptions): Promise<void> {
  const prompt = await readPrompt(words);
  const server = await findServer(options);
  try {
    const settings = toSettings(server.model, options);
    if (prompt === undefined) await converse(server, settings, options.system);
    else await answerOnce(server, settings, prompt, options.system);
  } finally {
    await server.close();
  }
}

async function readPrompt(words: readonly string[]): Promise<string | undefined> {
  const isPiped = !process.stdin.isTTY;
  if (words.length === 0 && !isPiped) return undefined;
  const parts = words.length === 0 ? ['-'] : words;
  const piped = parts.includes('-') ? await readStandardInput() : '';
  const prompt = parts
    .map((part) => (part === '-' ? piped : part))
    .join(' ')
    .trim();
  if (prompt === '') throw new UserError('The prompt is empty.');
  return prompt;
}

/** The server's own limit is lower unless it was raised. */
const standardInputLimitBytes = 64 * 1024 * 1024;

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > standardInputLimitBytes) throw new UserError(`The prompt is larger than ${standardInputLimitBytes / 1024 / 1024} MiB.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8').trim();
}

function toSettings(model: string, options: ChatOptions): ChatSettings {
  return { model, temperature: options.temperature, top_p: options.topP, max_tokens: options.maxTokens, seed: options.seed };
}

async function answerOnce(server: ChatAddress, settings: ChatSettings, prompt: string, system: string | undefined): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const turns = [
    ...(system === undefined ? [] : [{ role: 'system', content: system } as const]),
    { role: 'user', content: prompt } as const,
  ];
  await answer(server, settings, turns, stop.signal);
  // As the shell reports a program that Ctrl-C ended.
  if (stop.signal.aborted) process.exitCode = 130;
}
