import { Command, InvalidArgumentError, Option } from 'commander';
import { filled } from '../option-values.ts';
import type { RecordOptions } from './record.ts';

export function recordCommand(): Command {
  return new Command('record')
    .description('Write a trace of the requests that go to a server, for autoglm replay.')
    .addOption(
      new Option('-l, --listen <address>', 'where clients are to send their requests: port, or host:port')
        .argParser(address)
        .default({ host: '127.0.0.1', port: 8081 }, '127.0.0.1:8081'),
    )
    .requiredOption('-t, --to <url>', 'the OpenAI-compatible server that they are passed on to', serverUrl)
    .requiredOption('-o, --out <file>', 'the trace; a new file', filled)
    .option('--contents', 'write prompts as they are, and hashes of answers that can be repeated')
    .addHelpText('after', help)
    .action(async (options: RecordOptions) => {
      // The other commands start without it.
      const { record } = await import('./record.ts');
      await record(options);
    });
}

function serverUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:8000.');
  if (url.username !== '' || url.password !== '')
    throw new InvalidArgumentError("It must hold no password; clients' own headers are passed on.");
  return url;
}

function address(text: string): RecordOptions['listen'] {
  const match = /^(?:(?:\[([\da-f:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new InvalidArgumentError('It must be a port, or an address and a port: 127.0.0.1:8081 or [::1]:8081.');
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
}

const help = `
Stands between clients and a server and changes nothing: streams go through as they come. One line of JSON is written for each
request to /v1/chat/completions and /v1/completions: when it came, what it asked for, how long prompt and answer were, and
how long it took. Of prompts it keeps keyed hashes of their blocks of 64 characters, so that a replay has the same shared
prefixes and nobody can read or guess what was asked; --contents keeps them as they are. Headers, and with them keys, are
never written. When the disk is full the requests go on, and what was not written is counted.

Tokens are known where the server tells them. open-autoglm does so unasked (autoglm.usage); others tell them of streams where the client asks
with stream_options.include_usage. Of other streams the prompt's are unknown, and the answer's are its pieces ("counted_by": "chunks"):
fewer, where a server puts several into one.

Examples:
  autoglm record --to http://127.0.0.1:8000 --out monday.jsonl      clients use http://127.0.0.1:8081 in its place
  autoglm record --listen 0.0.0.0:9000 --to https://vllm.internal/v1 --out trace.jsonl
  autoglm replay monday.jsonl --rate 2x                             later

Ctrl-C ends when running answers have ended; a second one cuts them. The file ends with a whole line either way.`;
