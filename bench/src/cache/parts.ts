import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../harness/free-port.ts';

export interface BenchRedis {
  readonly url: string;
  stop(): Promise<void>;
}

const startTimeoutMs = 10_000;

/** A Redis of the bench's own, in memory alone; undefined where the program is not installed. */
export async function startRedis(): Promise<BenchRedis | undefined> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return undefined;
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-redis-'));
  const port = await freePort();
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    { stdio: 'ignore' },
  );
  const killWithBench = () => void child.kill('SIGKILL');
  process.once('exit', killWithBench);
  const until = performance.now() + startTimeoutMs;
  while (!(await accepts(port))) {
    if (performance.now() > until) throw new Error(`redis-server did not listen within ${startTimeoutMs} ms`);
    await sleep(10);
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      process.off('exit', killWithBench);
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Draws from 0 … keys − 1, of which number k is drawn with a probability proportional to 1 ÷ (k + 1). */
export function zipf(keys: number, draws: number, random: () => number): number[] {
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let key = 0; key < keys; key += 1) sums[key] = sum += 1 / (key + 1);
  return Array.from({ length: draws }, () => {
    const wanted = random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
