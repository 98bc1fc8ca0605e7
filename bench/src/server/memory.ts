import { readdirSync, readFileSync } from 'node:fs';

/** Memory of a process and all its descendants, in bytes. */
export interface ProcessMemory {
  /** Resident set sizes added up: pages that processes share count for each. */
  readonly residentBytes: number;
  readonly processCount: number;
}

/** `undefined` where there is no /proc. */
export function memoryOfTree(pid: number): ProcessMemory | undefined {
  if (process.platform !== 'linux') return undefined;
  const pids = descendants(pid);
  return { residentBytes: pids.reduce((sum, each) => sum + residentBytes(each), 0), processCount: pids.length };
}

function descendants(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number));
  return [pid, ...children.flatMap(descendants)];
}

function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
