import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const startTimeoutMs = 120_000;
const stopTimeoutMs = 15_000;
const pollMs = 5;

export interface StartTimes {
  /** From the start of the command to the line that tells the address. */
  readonly listeningMs: number;
  /** From the start of the command to 200 from /readyz. */
  readonly readyMs: number;
}

export interface RunningServer extends StartTimes {
  readonly url: string;
  readonly pid: number;
  /** Ends it with SIGTERM, and with SIGKILL what is left after a while. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly model: string;
  readonly threads: number;
  /** A configuration file; what is given above wins over it. */
  readonly config?: string;
}

/** The server's own process, on this Node, with the event-loop probe in it. */
export function startServer(options: ServerOptions, probeFolder: string): Promise<RunningServer> {
  const probe = new URL('./probe.ts', import.meta.url).href;
  // As the program sets it a moment later: before that the probe alone would load what strips types, 12 MB which no user has.
  const compileCache = { NODE_COMPILE_CACHE: path.join(tmpdir(), 'node-compile-cache') };
  return start(process.execPath, [`--import=${probe}`, 'packages/cli/bin/autoglm.js', 'serve'], options, {
    AUTOGLM_PROBE_FOLDER: probeFolder,
    ...compileCache,
  });
}

/** `npm start`, as a user types it. */
export function npmStart(options: ServerOptions): Promise<RunningServer> {
  return start('npm', ['start', '--silent', '--'], options, {});
}

async function start(
  command: string,
  args: readonly string[],
  { model, threads, config }: ServerOptions,
  extraEnvironment: NodeJS.ProcessEnv,
): Promise<RunningServer> {
  const begin = performance.now();
  // A process group of its own: npm and its shell do not pass every signal on.
  const child = spawn(
    command,
    [...args, '--port', '0', '--model', model, '--threads', String(threads), ...(config === undefined ? [] : ['--config', config])],
    {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...extraEnvironment },
    },
  );
  // A group of its own does not end with the bench by itself.
  const killWithBench = () => signalGroup(child.pid, 'SIGKILL');
  process.once('exit', killWithBench);
  const stop = async () => {
    await stopGroup(child);
    process.off('exit', killWithBench);
  };
  try {
    const signal = AbortSignal.timeout(startTimeoutMs);
    const url = await listeningUrl(child, signal);
    const listeningMs = performance.now() - begin;
    await becomeReady(url, signal);
    return { url, pid: child.pid as number, listeningMs, readyMs: performance.now() - begin, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Rejects with what the server said when it ends before it listens. */
async function listeningUrl(child: ChildProcess, signal: AbortSignal): Promise<string> {
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream, signal });
  for await (const line of lines) {
    const url = /^listening on (\S+)$/.exec(line)?.[1];
    if (!url) continue;
    child.stdout?.resume();
    return url;
  }
  throw new Error(`the server did not listen: ${complaint.trim()}`);
}

async function becomeReady(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { statusCode, body } = await request(`${url}/readyz`, { signal });
    await body.dump();
    if (statusCode === 200) return;
    await sleep(pollMs, undefined, { signal });
  }
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  signalGroup(child.pid, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}

/** `pid` is undefined when the command could not be started. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // It ended in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
