import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { askProcess } from '../harness/ask-process.ts';
import { freePort } from '../harness/free-port.ts';
import type { BackendAnswer, BackendQuestion, LoopResult, LoopTask } from './protocol.ts';

/** A server of the bench in a process of its own. */
export interface Served {
  readonly url: string;
  readonly pid: number;
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

const startTimeoutMs = 30_000;
const portkeyFolder = new URL('../../peers/portkey/node_modules/@portkey-ai/gateway/', import.meta.url);

/** One of the processes beside this file; it says where it listens. */
export async function startBeside(name: string, ...args: string[]): Promise<Served> {
  const child = fork(new URL(name, import.meta.url), args, { execArgv: [] });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return served(child, url);
}

/** How often a fake backend was asked for an answer so far: a gateway's own counters would say what it believes. */
export async function answersOf({ child }: Served): Promise<number> {
  return (await askProcess<BackendAnswer>(child, { count: true } satisfies BackendQuestion)).answers;
}

/** The real program with this configuration, once it is ready. */
export async function startGateway(config: object): Promise<Served> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const file = path.join(folder, 'config.yaml');
  await writeFile(file, JSON.stringify(config));
  const program = fileURLToPath(new URL('../../../packages/cli/bin/autoglm.js', import.meta.url));
  const child = spawn(process.execPath, [program, 'serve', '--port', '0', '--config', file], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(startTimeoutMs) })) as [
    string,
  ];
  const url = line.replace('listening on ', '');
  await untilAnswers(`${url}/readyz`);
  await rm(folder, { recursive: true });
  return served(child, url);
}

/** `undefined` when the package was not installed: `npm install` in bench/peers/portkey brings it. */
export async function startPortkey(): Promise<Served | undefined> {
  const entry = new URL('build/start-server.js', portkeyFolder);
  if (!existsSync(entry)) return undefined;
  const port = await freePort();
  const child = spawn(
    process.execPath,
    [`--import=${new URL('./mutable-headers.ts', import.meta.url).href}`, fileURLToPath(entry), `--port=${port}`, '--headless'],
    { stdio: 'ignore', env: { ...process.env, NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' } },
  );
  await untilAnswers(`http://127.0.0.1:${port}/`);
  return served(child, `http://127.0.0.1:${port}`);
}

export function startLoad(): { run(task: LoopTask): Promise<LoopResult>; close(): void } {
  const child = fork(new URL('./load-process.ts', import.meta.url), [], { execArgv: [] });
  return { run: (task) => askProcess<LoopResult>(child, task), close: () => child.disconnect() };
}

/** Processor time of all threads of a process so far, in microseconds; NaN where the system does not tell. */
export function cpuMicroseconds(pid: number): number {
  try {
    const folder = `/proc/${pid}/task`;
    return readdirSync(folder).reduce(
      (sum, task) => sum + Number(readFileSync(`${folder}/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000,
      0,
    );
  } catch {
    return NaN;
  }
}

function served(child: ChildProcess, url: string): Served {
  const killWithBench = () => void child.kill('SIGKILL');
  process.once('exit', killWithBench);
  return {
    url,
    child,
    pid: child.pid as number,
    async stop() {
      process.off('exit', killWithBench);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

async function untilAnswers(url: string): Promise<void> {
  const until = performance.now() + startTimeoutMs;
  for (;;) {
    const status = await request(url)
      .then(async ({ statusCode, body }) => {
        await body.dump();
        return statusCode;
      })
      .catch(() => undefined);
    if (status === 200) return;
    if (performance.now() > until) throw new Error(`${url} was not ready in ${startTimeoutMs} ms (status ${status})`);
    await sleep(10);
  }
}
