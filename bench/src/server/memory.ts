import { readdirSync, readFileSync } from 'node:fs';

/** Memory of a process and all its descendants, in bytes. */
export interface ProcessMemory {
  /** Resident set sizes added up: pages that processes share count for each. */
  readonly residentBytes: number;
  readonly processCount: number;
  /** Of the process itself; the rest is its descendants'. */
  readonly ownResidentBytes: number;
}

/** `undefined` where there is no /proc. */
export function memoryOfTree(pid: number): ProcessMemory | undefined {
  if (process.platform !== 'linux') return undefined;
  const pids = descendants(pid);
  const ownResidentBytes = residentBytes(pid);
  return {
    residentBytes: pids.slice(1).reduce((sum, each) => sum + residentBytes(each), ownResidentBytes),
    processCount: pids.length,
    ownResidentBytes,
  };
}

function descendants(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(descendants)];
}

function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
