import { Command, Option } from 'commander';
import { filled, integer } from '../option-values.ts';
import { formats } from './formats/index.ts';
import { duration, jsonObject, positive, positiveInteger, rate, slo } from './option-values.ts';
import type { ReplayOptions } from './replay.ts';

export function replayCommand(): Command {
  return new Command('replay')
    .description('Send a recorded trace to any OpenAI-compatible server, and measure it.')
    .argument('<trace>', 'a file of requests and their times; see below')
    .option('-u, --url <url>', 'the server; otherwise AUTOGLM_URL, otherwise http://127.0.0.1:8080', filled)
    .option('--compare <servers...>', 'two servers, or two configurations of one: each a URL, or JSON with url, name, model and body')
    .option('-m, --model <name>', 'the model that is asked for; otherwise the first one that the server lists', filled)
    .addOption(
      new Option('-r, --rate <rate>', '2x: twice as fast as recorded; 50: 50 requests a second on average')
        .argParser(rate)
        .default({ kind: 'speed', factor: 1 }, '1x'),
    )
    .option('-d, --duration <time>', 'how long to send: 30s, 5m; the whole trace when not given', duration)
    .option('-n, --limit <number>', 'send no more than so many requests', positiveInteger)
    .option('--slo <objectives>', 'milliseconds that a good answer keeps to: ttft=200,tpot=50,e2e=5000', slo)
    .addOption(
      new Option('--format <name>', "the trace's format")
        .choices(['auto', ...formats.map(({ name }) => name)])
        .default('auto', 'guessed from its first lines'),
    )
    .addOption(new Option('--prompt-scale <factor>', 'make prompts so much longer or shorter').argParser(positive).default(1))
    .addOption(new Option('--output-scale <factor>', 'ask for answers so much longer or shorter').argParser(positive).default(1))
    .option('--max-prompt-tokens <number>', 'cut longer prompts', positiveInteger)
    .option('--max-tokens <number>', 'ask for no longer answers', positiveInteger)
    .addOption(
      new Option('--body <json>', 'merged into every request, such as {"temperature": 0}').argParser(jsonObject).default({}, 'nothing'),
    )
    .addOption(
      new Option('--api-key-env <name>', "environment variable with the server's key").argParser(filled).default('AUTOGLM_API_KEY'),
    )
    .addOption(
      new Option('--timeout <time>', 'of a request; also how long a server may answer nothing at all before the replay ends')
        .argParser(duration)
        .default(120_000, '120s'),
    )
    .addOption(
      new Option('--max-in-flight <number>', 'requests under way at once; what is due beyond is counted as abandoned')
        .argParser(positiveInteger)
        .default(4096),
    )
    .option('--block <time>', 'with --compare: length of the slices that the servers get in turn', duration)
    .option('--seed <number>', 'makes the same prompts again; otherwise each replay makes others', integer)
    .option('--json', 'print the figures as one JSON object, as the last line')
    .option('--html <file>', 'write the report as one page with plots, which opens without a network', filled)
    .option('--outcomes <file>', 'write what became of each request, as JSON Lines', filled)
    .addHelpText('after', help)
    .action(async (trace: string, options: ReplayOptions) => {
      // The other commands start without it.
      const { replay } = await import('./replay.ts');
      await replay(trace, options);
    });
}

const help = `
Requests are sent when the trace says, whether or not the server keeps up, and latencies count from that moment: a slow
server cannot hide by slowing the client. How late the replay itself was is part of the report.

Traces (each line that is broken is counted, named and skipped):
  azure      Azure LLM inference traces, CSV or JSON Lines     TIMESTAMP,ContextTokens,GeneratedTokens
  mooncake   JSON Lines with the prefixes that prompts share   {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}
  burstgpt   BurstGPT, CSV                                     Timestamp,Session ID,Elapsed time,Model,Request tokens,…
  autoglm    written by autoglm record                         {"autoglm_trace": 1, "at_ms": 0, …}
Where a trace holds no texts, prompts are made of common words. Two questions before the replay (usage.prompt_tokens of a short and a
long prompt) tell how many words give the tokens that the trace asks for; a warning says so where what the server counted then differs by more than 5 %.
Requests recorded with their contents are sent as they are: of these options only --max-tokens and --body change them.

Examples:
  autoglm replay trace.csv                                       to the server on this computer, as recorded
  autoglm replay trace.csv --rate 2x --duration 60s              its first two minutes in one
  autoglm replay trace.csv --rate 20 --slo ttft=200,tpot=50      20 requests a second; goodput at this objective
  autoglm replay trace.jsonl --url http://vllm:8000 --model glm-4-9b --json
  autoglm replay trace.jsonl --slo ttft=200 --html report.html
  autoglm replay trace.jsonl --max-prompt-tokens 2000 --max-tokens 100
  autoglm replay trace.jsonl --compare http://a:8000 http://b:8000 --rate 4x
  autoglm replay trace.jsonl --url http://a:8000 --compare '{"name": "greedy", "body": {"temperature": 0}}' '{"name": "warm", "body": {"temperature": 1}}'
  autoglm replay trace.jsonl --body '{"ignore_eos": true}'       answers of full length, where the server knows how (vLLM)

Exit code: 0 when any request was answered, 2 when none was, 1 when there was nothing to send, nobody to send to
or no way to write a report's file (told before the first request), 130 after Ctrl-C (the report is of what there was by then).`;
