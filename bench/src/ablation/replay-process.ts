import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What `autoglm replay --json` says, as far as it is used here. Milliseconds; quantiles over answered requests. */
export interface ReplayFigures {
  readonly requests: number;
  readonly outcomes: Readonly<Record<'answered' | 'refused' | 'failed' | 'cut' | 'timed-out' | 'abandoned', number>>;
  readonly ttft_ms: ReplayQuantiles | null;
  readonly tpot_ms: ReplayQuantiles | null;
  /** Of all requests, the share that was answered within the objective. */
  readonly slo_attainment: number;
  readonly answered_rps: number;
  readonly output_tokens_per_second: number;
  readonly warnings: readonly string[];
}

export interface ReplayQuantiles {
  readonly p50: number;
  readonly p99: number;
}

export interface ReplayLoad {
  readonly trace: string;
  readonly url: string;
  /** Requests a second, on average. */
  readonly rate: number;
  /** The first requests of the trace. */
  readonly limit: number;
  readonly promptScale: number;
  readonly outputScale: number;
  readonly slo: { readonly ttftMs: number; readonly tpotMs: number };
  readonly timeoutMs: number;
  /** Merged into every request. */
  readonly body: object;
  /** The same one, the same words. */
  readonly seed: number;
}

const program = fileURLToPath(new URL('../../../packages/cli/bin/autoglm.js', import.meta.url));

/** Replays a trace by the program that users have, in a process of its own. Rejects when it fails, or nothing was answered. */
export async function replayTrace({
  trace,
  url,
  rate,
  limit,
  promptScale,
  outputScale,
  slo,
  timeoutMs,
  body,
  seed,
}: ReplayLoad): Promise<ReplayFigures> {
  const child = spawn(
    process.execPath,
    [
      program,
      'replay',
      trace,
      '--url',
      url,
      '--model',
      'default',
      '--json',
      '--rate',
      String(rate),
      '--limit',
      String(limit),
      '--prompt-scale',
      String(promptScale),
      '--output-scale',
      String(outputScale),
      '--slo',
      `ttft=${slo.ttftMs},tpot=${slo.tpotMs}`,
      '--timeout',
      `${timeoutMs}ms`,
      '--seed',
      String(seed),
      '--body',
      JSON.stringify(body),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const said = { out: '', error: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.error = (said.error + text).slice(-2000)));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the replay ended with ${code}: ${said.error.trim()}`);
  return JSON.parse(said.out.trimEnd().split('\n').at(-1) ?? '') as ReplayFigures;
}
