import { Command } from 'commander';
import { filled, integer, number } from '../option-values.ts';
import type { ChatOptions } from './chat.ts';

export function chatCommand(): Command {
  return new Command('chat')
    .description('Talk to a model in the terminal.')
    .argument('[prompt...]', 'what to ask; "-" stands for standard input; nothing begins a conversation')
    .option(
      '-u, --url <url>',
      'a server that runs already (AUTOGLM_URL), its key in AUTOGLM_API_KEY; without one, the model is started for this chat',
      filled,
    )
    .option(
      '-m, --model <name>',
      'with --url: a model of that server, otherwise its default or the first that it lists; without: as of autoglm serve',
      filled,
    )
    .option('-s, --system <text>', 'what the model should know or be, before the conversation')
    .option('--temperature <number>', '0 always takes the likeliest token; up to 2', number)
    .option('--top-p <number>', 'choose among the likeliest tokens that reach this probability', number)
    .option('--max-tokens <number>', 'length of an answer at most', integer)
    .option('--seed <number>', 'the same seed gives the same answer', integer)
    .addHelpText('after', help)
    .action(async (prompt: string[], options: ChatOptions) => (await import('./chat.ts')).chat(prompt, options));
}

const help = `
The answer goes to standard output, everything else to standard error. In a conversation, Ctrl-C stops an answer
and leaves when there is none, /clear forgets what was said, /exit or Ctrl-D leaves.

Examples:
  autoglm chat
  autoglm chat "中国的首都是哪里？"
  autoglm chat --temperature 0 --max-tokens 200 "写一首关于秋天的诗"
  echo "1+1=?" | autoglm chat
  autoglm chat "用一句话总结：" - < report.txt
  autoglm chat --url http://127.0.0.1:8080 --system "你是一个诗人" "你好"`;
