import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { chatCommand } from './chat/command.ts';
import { endWithOutput, reportFailure } from './failure.ts';
import { modelsCommand } from './models/command.ts';
import { pullCommand } from './pull/command.ts';
import { quantizeCommand } from './quantize/command.ts';
import { recordCommand } from './record/command.ts';
import { replayCommand } from './replay/command.ts';
import { serveCommand } from './serve/command.ts';
import { tuneCommand } from './tune/command.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** Runs `autoglm` with these arguments and sets the process's exit code. */
export async function main(args: readonly string[]): Promise<void> {
  process.on('uncaughtException', (error) => {
    reportFailure(error);
    process.exit(1);
  });
  endWithOutput(process.stdout);
  try {
    await createProgram().parseAsync(args, { from: 'user' });
  } catch (error) {
    reportFailure(error);
    process.exitCode = 1;
  }
}

function createProgram(): Command {
  return new Command('autoglm')
    .description('Serves a language model on this computer, and talks to it.')
    .version(version, '-v, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .showHelpAfterError('(autoglm --help shows what can be asked for)')
    .addCommand(serveCommand())
    .addCommand(chatCommand())
    .addCommand(modelsCommand())
    .addCommand(pullCommand())
    .addCommand(quantizeCommand())
    .addCommand(recordCommand())
    .addCommand(replayCommand())
    .addCommand(tuneCommand())
    .addHelpText('after', help);
}

const help = `
Examples:
  autoglm serve                         an OpenAI-compatible server on http://127.0.0.1:8080
  autoglm serve --model qwen2.gguf      the same with a model of your own
  autoglm chat "中国的首都是哪里？"       one answer, without a server
  autoglm chat                          a conversation
  autoglm record --to http://127.0.0.1:8000 --out trace.jsonl
                                        a trace of the requests that go to a server
  autoglm replay trace.jsonl --rate 2x  recorded requests sent to a server again, and measured
  autoglm pull hf:OWNER/NAME            a model from Hugging Face, for serve --model NAME
  autoglm tune cascade outcomes.jsonl --out policy.json
                                        which questions are worth the large model
  autoglm models                        what is here, and whether it fits into the memory

Environment:
  PORT, HOST          where to listen
  AUTOGLM_CONFIG      configuration file (YAML)
  AUTOGLM_THREADS     threads that compute; all cores when not set
  AUTOGLM_HOME        folder of models; ~/.cache/open-autoglm when not set
  AUTOGLM_URL         server that autoglm chat and replay talk to; chat starts its own when not set
  AUTOGLM_API_KEY     key of the server that autoglm chat and replay talk to; replay --api-key-env names another variable

An option wins over the environment, the environment over the file.
autoglm help COMMAND tells more.`;
