import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { ChatOptions } from './chat.ts';
import type { ServeOptions } from './serve.ts';

const program = new Command('autoglm')
  .description('Serves language models fast, behind an OpenAI-compatible API, with a Chinese model built in.')
  .version(version())
  .addHelpText(
    'after',
    `
Examples:
  autoglm serve                              the built-in model on http://127.0.0.1:8080
  autoglm serve --model qwen2.5.gguf         any GGUF of the llama or qwen2 architecture
  autoglm chat "中国的首都是哪里？"             one answer, streamed
  autoglm chat                               a conversation
  echo "1+1=?" | autoglm chat                a prompt from a pipe
  autoglm chat --url http://host:8080 "你好"  asks a server that runs already

Environment:
  PORT, HOST         where to listen (server.port, server.host)
  AUTOGLM_CONFIG     a YAML configuration file
  AUTOGLM_HOME       folder of converted models (~/.cache/open-autoglm)
  AUTOGLM_THREADS    threads of the embedded engine (all cores)
  AUTOGLM_URL        the server that "chat" asks`,
  );

const model = ['--model <file>', '"default", or a GGUF file'] as const;
const threads = ['--threads <n>', 'threads of the embedded engine', positiveInteger] as const;

program
  .command('serve')
  .description('serve the OpenAI-compatible API and the console')
  .option('--config <file>', 'a YAML configuration file')
  .option('--port <n>', 'port to listen on; 0 takes a free one', port)
  .option('--host <address>', 'address to listen on')
  .option(...model)
  .option(...threads)
  .option('--context-length <n>', 'tokens that one conversation may hold', positiveInteger)
  .option('--max-batch-size <n>', 'answers generated at the same time', positiveInteger)
  .action(async (options: ServeOptions) => {
    const { serve } = await import('./serve.ts');
    await serve(options);
  });

program
  .command('chat')
  .description('talk to a model; without a prompt, a conversation')
  .argument('[prompt]', 'what to ask')
  .option('--url <url>', 'a running server; otherwise the embedded model is started for this chat')
  .option(...model)
  .option(...threads)
  .option('--system <text>', 'system prompt')
  .option('--temperature <n>', '0 … 2', finiteNumber)
  .option('--max-tokens <n>', 'tokens of an answer at most', positiveInteger)
  .option('--seed <n>', 'the same seed gives the same answer', finiteNumber)
  .action(async (prompt: string | undefined, options: ChatOptions) => {
    const { chat } = await import('./chat.ts');
    await chat(prompt, options);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`autoglm: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function version(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a positive integer.');
  return value;
}

function port(text: string): number {
  return text === '0' ? 0 : positiveInteger(text);
}

function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}
