import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How much later than due the event loop got to its timers. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export const probeFile = 'loop-delay.json';
/** Time between two looks at the loop. */
export const resolutionMs = 1;

const answerTimeoutMs = 5000;

/** The event-loop delay of a process that loaded the probe, while `work` runs. */
export async function watchLoopDelay(pid: number, folder: string, work: () => Promise<unknown>): Promise<LoopDelay> {
  const file = path.join(folder, probeFile);
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  try {
    await work();
  } finally {
    process.kill(pid, 'SIGUSR2');
  }
  const signal = AbortSignal.timeout(answerTimeoutMs);
  while (!existsSync(file)) await sleep(10, undefined, { signal });
  return JSON.parse(readFileSync(file, 'utf8')) as LoopDelay;
}
