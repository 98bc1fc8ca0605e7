import { execFile } from 'node:child_process';
import { availableParallelism, loadavg, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { AcceleratorReport, DeviceReport } from '../../common/device-registry.ts';

const run = promisify(execFile);
const smiTimeoutMs = 2000;
const acceleratorsMax = 64;
const megabyte = 1024 * 1024;

/** What this machine, or this container, has at the moment. Never rejects. */
export async function ownReport(
  settings: Pick<DeviceReport, 'accepts' | 'intervalMs' | 'latencyMs'>,
  readAccelerators: () => Promise<readonly AcceleratorReport[]>,
): Promise<DeviceReport> {
  const memoryTotal = process.constrainedMemory() || totalmem();
  return {
    cores: availableParallelism(),
    load: loadavg()[0] ?? 0,
    memoryTotal: Math.min(memoryTotal, totalmem()),
    memoryFree: Math.min(process.availableMemory(), memoryTotal),
    accelerators: await readAccelerators(),
    ...settings,
  };
}

/** By nvidia-smi, as long as it is there: a machine without it is asked once. */
export function createAcceleratorReader(command = 'nvidia-smi'): () => Promise<readonly AcceleratorReport[]> {
  let isThere = true;
  return async () => {
    if (!isThere) return [];
    try {
      const { stdout } = await run(
        command,
        ['--query-gpu=name,memory.total,memory.free,utilization.gpu', '--format=csv,noheader,nounits'],
        { timeout: smiTimeoutMs },
      );
      return readSmi(stdout);
    } catch (error) {
      // A driver that is busy is asked again; a program that is not there will not come.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') isThere = false;
      return [];
    }
  };
}

/** One line for each: `NVIDIA H200, 143771, 143163, 0`; what it cannot tell is `[N/A]`. */
export function readSmi(text: string): AcceleratorReport[] {
  return text
    .split('\n')
    .slice(0, acceleratorsMax)
    .flatMap((line) => {
      const [name, total, free, busy] = line.split(',').map((field) => field.trim());
      const [memoryTotal, memoryFree, percent] = [Number(total) * megabyte, Number(free) * megabyte, Number(busy)];
      if (!name || !Number.isFinite(memoryTotal) || !Number.isFinite(memoryFree)) return [];
      return [
        { name: name.slice(0, 128), memoryTotal, memoryFree, busy: Number.isFinite(percent) ? Math.max(0, Math.min(1, percent / 100)) : 0 },
      ];
    });
}
