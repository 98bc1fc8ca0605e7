import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

/** Where the replay ran, and with what. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_bytes: number;
  readonly platform: string;
  readonly node: string;
  readonly autoglm: string;
  /** Runnable processes, averaged over the last minute. */
  readonly load: number;
}

export function describeMachine(): Machine {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_bytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    autoglm: version,
    load: loadavg()[0] as number,
  };
}
