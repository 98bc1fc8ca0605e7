import { randomInt } from 'node:crypto';
import { lstat, open, rm, stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readApiKey } from '../api-key.ts';
import { messageOf, UserError } from '../failure.ts';
import { isSameFile } from '../same-file.ts';
import { describeMachine, formatSummary, renderPage, summarise } from './report/index.ts';
import { formatCount, formatDuration } from './report/text.ts';
import { startProgressBar, type ReplayProgressBar } from './progress.ts';
import type { ReplayResult, ServiceLevelObjective } from './result.ts';
import { runReplay } from './run-replay.ts';
import { parseTarget, type TargetWish } from './targets.ts';
import type { Rate } from './trace/plan.ts';
import type { TraceFormat } from './trace/trace-format.ts';

export interface ReplayOptions {
  readonly url?: string;
  readonly compare?: readonly string[];
  readonly model?: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly apiKeyEnv: string;
  readonly format: TraceFormat['name'] | 'auto';
  readonly rate: Rate;
  readonly duration?: number;
  readonly limit?: number;
  readonly slo?: ServiceLevelObjective;
  readonly timeout: number;
  readonly maxInFlight: number;
  readonly promptScale: number;
  readonly outputScale: number;
  readonly maxPromptTokens?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly block?: number;
  readonly json?: true;
  readonly html?: string;
  readonly outcomes?: string;
}

/** As the shell reports a program that Ctrl-C ended. */
const interruptedCode = 130;
/** The trace was replayed, and not one request was answered. */
const unansweredCode = 2;

/** Replays, reports, and sets the exit code: 0 when any request was answered. */
export async function replay(tracePath: string, options: ReplayOptions): Promise<void> {
  const targets = chooseTargets(options);
  // A replay may take hours; that its report cannot be written must be known before.
  await checkReports(tracePath, options);
  const interrupt = new AbortController();
  const stopListening = onInterrupt(interrupt);
  let bar: ReplayProgressBar | undefined;
  try {
    const result = await runReplay(
      toRequest(tracePath, targets, options),
      {
        begins(plan, named) {
          const whole = { requestCount: plan.requestCount * named.length, lengthMs: plan.lengthMs * named.length };
          process.stderr.write(
            `replaying ${formatCount(whole.requestCount, 'request')} in ${formatDuration(whole.lengthMs)} to ${named.map(({ name }) => name).join(' and ')}; Ctrl-C reports what there is by then\n`,
          );
          bar = startProgressBar(process.stderr, whole);
        },
        progresses: (progress) => bar?.show(progress),
      },
      interrupt.signal,
    );
    bar?.clear();
    await report(result, options);
    process.exitCode = exitCodeOf(result);
  } catch (error) {
    bar?.clear();
    if (!interrupt.signal.aborted || error !== interrupt.signal.reason) throw error;
    process.stderr.write('autoglm: interrupted before the first request was sent\n');
    process.exitCode = interruptedCode;
  } finally {
    stopListening();
  }
}

function chooseTargets({ url, compare, model, body, block }: ReplayOptions): TargetWish[] {
  const defaults = { body, ...(url !== undefined && { url }), ...(model !== undefined && { model }) };
  if (!compare && block !== undefined) throw new UserError('--block is for --compare: one server has no slices.');
  if (!compare) return [parseTarget(url ?? (process.env['AUTOGLM_URL'] || 'http://127.0.0.1:8080'), defaults)];
  if (compare.length !== 2)
    throw new UserError(
      `--compare takes two servers, not ${compare.length}. The trace comes before it: autoglm replay trace.jsonl --compare URL_A URL_B`,
    );
  return compare.map((text) => parseTarget(text, defaults));
}

function toRequest(tracePath: string, targets: readonly TargetWish[], options: ReplayOptions): Parameters<typeof runReplay>[0] {
  const {
    format,
    rate,
    duration,
    limit,
    slo,
    timeout,
    maxInFlight,
    promptScale,
    outputScale,
    maxPromptTokens,
    maxTokens,
    seed,
    block,
    apiKeyEnv,
  } = options;
  const apiKey = readApiKey(apiKeyEnv);
  return {
    tracePath,
    targets,
    format,
    rate,
    promptScale,
    outputScale,
    timeoutMs: timeout,
    inFlightMax: maxInFlight,
    // Another one each time: a server would find the last replay's prompts in its caches.
    seed: seed ?? randomInt(2 ** 31),
    ...(apiKey !== undefined && { apiKey }),
    ...(duration !== undefined && { durationMs: duration }),
    ...(limit !== undefined && { limit }),
    ...(slo && { slo }),
    ...(maxPromptTokens !== undefined && { promptTokensMax: maxPromptTokens }),
    ...(maxTokens !== undefined && { outputTokensMax: maxTokens }),
    ...(block !== undefined && { blockMs: block }),
  };
}

async function report(result: ReplayResult, { json, html, outcomes }: ReplayOptions): Promise<void> {
  const summary = summarise(result, describeMachine());
  if (outcomes !== undefined) await write(outcomes, linesOf(result));
  if (html !== undefined) await write(html, renderPage(result, summary));
  process.stdout.write(`${formatSummary(summary)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(summary)}\n`);
}

/** In pieces: all of a long replay is more than a string may hold. */
function* linesOf({ outcomes }: ReplayResult): Generator<string> {
  const atOnce = 1000;
  for (let from = 0; from < outcomes.length; from += atOnce) {
    yield outcomes
      .slice(from, from + atOnce)
      .map((outcome) => `${JSON.stringify(outcome)}\n`)
      .join('');
  }
}

async function checkReports(tracePath: string, { outcomes, html }: ReplayOptions): Promise<void> {
  if (outcomes !== undefined && html !== undefined && resolve(outcomes) === resolve(html))
    throw new UserError('--html and --outcomes must be two files.');
  for (const path of [outcomes, html]) {
    if (path === undefined) continue;
    if (await isSameFile(path, tracePath)) throw new UserError(`${path} is the trace itself: choose another name.`);
    await checkWritable(path);
  }
}

/** Throws where a file cannot be written there, and leaves everything as it was. */
async function checkWritable(path: string): Promise<void> {
  const found = await stat(path)
    .catch(() => lstat(path))
    .catch(() => undefined);
  // Who reads from a pipe would take this for its end, and a link to nothing would be gone.
  if (found && !found.isFile() && !found.isDirectory()) return;
  try {
    const file = await open(path, 'a');
    await file.close();
    if (!found) await rm(path);
  } catch (error) {
    throw new UserError(`${path} cannot be written: ${messageOf(error)}`);
  }
}

async function write(path: string, text: string | Iterable<string>): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    // It could be when the replay began; the figures are still to be seen.
    process.stderr.write(`autoglm: ${path} cannot be written: ${messageOf(error)}\n`);
  }
}

function exitCodeOf({ end, outcomes }: ReplayResult): number {
  if (end === 'interrupted') return interruptedCode;
  return outcomes.some(({ outcome }) => outcome === 'answered') ? 0 : unansweredCode;
}

/** The first signal ends the replay and leaves the report; a second one ends at once. Returns what takes the handlers off. */
function onInterrupt(interrupt: AbortController): () => void {
  const handle = () => {
    if (interrupt.signal.aborted) process.exit(interruptedCode);
    interrupt.abort(new Error('interrupted'));
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
}
