import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRandom, quantile } from '@open-autoglm/statistics';

/** Requests with random gaps (a Poisson process, which is what many independent users make), and answers of one length. */
export interface KnownLoad {
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly chunks: number;
}

/** Milliseconds, of one replay of a known load. */
export interface KnownLoadFigures {
  /** Of what the replay reports: what it is late in sending, and late in learning of what the server wrote. */
  readonly ttftError: Percentiles;
  readonly tpotError: Percentiles;
  /** From when a request was due until the server had read it. */
  readonly sendError: Percentiles;
  /** From when the server wrote the first token until when the replay says that it came. */
  readonly readError: Percentiles;
  /**
   * Of the end to end that the replay reports, less what the server took from reading the request: as if the server were never late to
   * read.
   */
  readonly e2eError: Percentiles;
  /** Sent − due. */
  readonly lateness: Percentiles;
  /** How much later than due a process that does nothing else was woken, while the replay ran. */
  readonly wakeDelay: Percentiles;
  /** Of all its threads, over the whole replay. */
  readonly generatorCores: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

const program = fileURLToPath(new URL('../../../packages/cli/bin/autoglm.js', import.meta.url));
const promptTokens = 50;
/**
 * A young generation as small as the generator's: pauses of 4 ms in the server would be taken for errors of the replay. Its helpers would
 * take both cores from it.
 */
const serverOptions = ['--max-semi-space-size=2', '--single-threaded-gc'];

export interface FakeServer {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startFakeServer(latencies: { readonly ttftMs: number; readonly gapMs: number }): Promise<FakeServer> {
  const child = spawn(
    process.execPath,
    [...serverOptions, fileURLToPath(new URL('./fake-server.ts', import.meta.url)), JSON.stringify(latencies)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const url = await firstLine(child);
  return { url, stop: () => endWithInput(child) };
}

export async function replayKnownLoad(server: FakeServer, load: KnownLoad, folder: string): Promise<KnownLoadFigures> {
  const trace = path.join(folder, 'trace.jsonl');
  const outcomesFile = path.join(folder, 'outcomes.jsonl');
  await writeFile(trace, makeTrace(load));
  const probe = spawn(process.execPath, [fileURLToPath(new URL('./wake-probe.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await firstLine(probe);
  const replay = spawn(
    process.execPath,
    [program, 'replay', trace, '--url', server.url, '--model', 'fake', '--json', '--outcomes', outcomesFile],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const output = { out: '', err: '' };
  replay.stdout.setEncoding('utf8').on('data', (text: string) => (output.out += text));
  replay.stderr.setEncoding('utf8').on('data', (text: string) => (output.err += text));
  const [code] = (await once(replay, 'close')) as [number | null];
  const wakeDelay = JSON.parse(await lastAnswer(probe)) as Percentiles;
  if (code !== 0) throw new Error(`the replay ended with ${code}: ${output.err}`);
  const summary = JSON.parse(output.out.trimEnd().split('\n').at(-1) ?? '') as {
    readonly requests: number;
    readonly outcomes: { readonly answered: number };
    readonly wall_s: number;
    readonly generator: { readonly cpuSeconds: number; readonly originMs: number };
  };
  if (summary.outcomes.answered !== summary.requests)
    throw new Error(`${summary.outcomes.answered} of ${summary.requests} were answered: ${output.err}`);
  return {
    ...errorsOf(await readFile(outcomesFile, 'utf8'), summary.generator.originMs),
    wakeDelay,
    generatorCores: summary.generator.cpuSeconds / summary.wall_s,
  };
}

interface Outcome {
  readonly dueAtMs: number;
  readonly sentAtMs: number;
  readonly firstTokenAtMs: number;
  readonly endedAtMs: number;
  readonly outputTokens: number;
  /** On the machine's monotonic clock. */
  readonly timings: { readonly received_at: number; readonly first_written_at: number; readonly end_written_at: number };
}

/**
 * Request by request: percentiles of the errors' sizes, which are larger than errors of the percentiles. `originMs` is the outcomes' time
 * zero on the server's clock.
 */
export function errorsOf(outcomes: string, originMs: number): Omit<KnownLoadFigures, 'wakeDelay' | 'generatorCores'> {
  const all = outcomes
    .trim()
    .split('\n')
    .map((line) => {
      const { timings, ...outcome } = JSON.parse(line) as Outcome;
      return {
        ...outcome,
        receivedAtMs: timings.received_at - originMs,
        firstWrittenAtMs: timings.first_written_at - originMs,
        endWrittenAtMs: timings.end_written_at - originMs,
      };
    });
  const percentiles = (of: (outcome: (typeof all)[number]) => number) => {
    const values = all.map((outcome) => Math.abs(of(outcome)));
    return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
  };
  return {
    ttftError: percentiles(
      ({ dueAtMs, sentAtMs, firstTokenAtMs, firstWrittenAtMs }) => sentAtMs - dueAtMs + firstTokenAtMs - firstWrittenAtMs,
    ),
    tpotError: percentiles(
      ({ firstTokenAtMs, endedAtMs, firstWrittenAtMs, endWrittenAtMs, outputTokens }) =>
        (endedAtMs - firstTokenAtMs - (endWrittenAtMs - firstWrittenAtMs)) / (outputTokens - 1),
    ),
    sendError: percentiles(({ dueAtMs, receivedAtMs }) => receivedAtMs - dueAtMs),
    readError: percentiles(({ firstTokenAtMs, firstWrittenAtMs }) => firstTokenAtMs - firstWrittenAtMs),
    e2eError: percentiles(({ dueAtMs, endedAtMs, receivedAtMs, endWrittenAtMs }) => endedAtMs - dueAtMs - (endWrittenAtMs - receivedAtMs)),
    lateness: percentiles(({ dueAtMs, sentAtMs }) => sentAtMs - dueAtMs),
  };
}

function makeTrace({ requestsPerSecond, seconds, chunks }: KnownLoad): string {
  const random = createRandom(requestsPerSecond);
  const lines: string[] = [];
  for (let t = 0; t < seconds; t -= Math.log(1 - random()) / requestsPerSecond)
    lines.push(JSON.stringify({ t, prompt_tokens: promptTokens, output_tokens: chunks }));
  return lines.join('\n');
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line;
  throw new Error(`${child.spawnargs.at(-1)} ended without a word`);
}

async function lastAnswer(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  await endWithInput(child);
  return text;
}

async function endWithInput(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close');
  child.stdin?.end();
  await ended;
}
