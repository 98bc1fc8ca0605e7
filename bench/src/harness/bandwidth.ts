import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { BandwidthTask } from './bandwidth-worker.ts';

const measureMs = 300;
const attempts = 5;

/**
 * Bytes per second that `threads` threads read together out of a working set of that many bytes, shared out among them as
 * ggml shares out a weight matrix. Each thread compares its two halves with `memcmp`, which does nothing but read. A working
 * set larger than the last cache measures DRAM; one of the size of a model's weights measures what a decode step, which
 * reads each weight once, can get. The best of several attempts: it is a limit.
 */
export async function readBandwidth(workingSetBytes: number, threads: number): Promise<number> {
  const rates: number[] = [];
  for (let attempt = 0; attempt < attempts; attempt += 1) rates.push(await measureOnce(workingSetBytes, threads));
  return Math.max(...rates);
}

async function measureOnce(workingSetBytes: number, threads: number): Promise<number> {
  const barrier = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const rates = Array.from({ length: threads }, () => new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT)));
  const workers = rates.map((rate) => {
    const task: BandwidthTask = { bytes: Math.ceil(workingSetBytes / threads), threads, barrier, rate, measureMs };
    return new Worker(new URL('./bandwidth-worker.ts', import.meta.url), { workerData: task });
  });
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
  return rates.reduce((sum, rate) => sum + (rate[0] as number), 0);
}
