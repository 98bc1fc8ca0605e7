import { Command, Option } from 'commander';
import { collect, filled, integer } from '../option-values.ts';
import { serve, type ServeOptions } from './serve.ts';

export function serveCommand(): Command {
  return new Command('serve')
    .description('Serve a model over HTTP, as OpenAI does.')
    .option(
      '-m, --model <path>',
      '"default", "tinyllama", another name that autoglm models lists, a GGUF file or a Hugging Face folder (model_config.path)',
    )
    .addOption(new Option('--quantization <type>', 'what the weights become (model_config.quantization)').choices(['none', 'int8', 'int4']))
    .option('-p, --port <number>', 'port to listen on; 0 takes a free one (server.port)', integer)
    .option('--host <address>', 'address to listen on; 0.0.0.0 is every one (server.host)')
    .option('-c, --config <file>', 'configuration file (YAML)', filled)
    .option(
      '-e, --engine <url>',
      'another server to answer instead of the embedded engine, such as http://127.0.0.1:8000/v1; may be given again',
      collect,
    )
    .option('--engine-model <name>', 'the model to ask it for; every model that it lists when not given', filled)
    .option('--engine-key-env <name>', 'environment variable with the key that it wants', filled)
    .option('-t, --threads <number>', 'threads that compute (model_config.threads)', integer)
    .option('--context-length <tokens>', 'tokens of prompt and answer together (model_config.context_length)', integer)
    .option('--max-batch-size <number>', 'answers generated at once (model_config.max_batch_size)', integer)
    .option('--max-queue <number>', 'requests waiting before more are refused (model_config.max_queue)', integer)
    .option('--drain-timeout-ms <ms>', 'time for running answers to end on SIGTERM (server.drain_timeout_ms)', integer)
    .addHelpText('after', help)
    .action((options: ServeOptions) => serve(options));
}

const help = `
Prints "listening on URL" on standard output when it accepts requests; progress and notices go to standard error.
SIGTERM or Ctrl-C lets running answers end and refuses new ones; a second one ends at once.

Examples:
  autoglm serve
  autoglm serve --model ~/models/qwen2.5-1.5b-instruct-q8_0.gguf --port 9000
  AUTOGLM_CONFIG=autoglm.yaml autoglm serve --host 0.0.0.0
  autoglm serve --engine http://127.0.0.1:8000/v1 --engine http://127.0.0.1:8001/v1

A first request:
  curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "default", "messages": [{"role": "user", "content": "中国的首都是哪里？"}]}'

A configuration file:
  server: {port: 9000}
  model_config:
    path: /models/qwen2.5-1.5b-instruct-q8_0.gguf
    context_length: 16384
    max_batch_size: 16

One with two vLLM servers that answer for the same model, in turn 3 : 1, and no embedded model:
  engines:
    - {kind: openai, url: 'http://vllm-0:8000/v1', model: glm-4-9b, weight: 3, api_key_env: VLLM_KEY}
    - {kind: openai, url: 'http://vllm-1:8000/v1', model: glm-4-9b}`;
