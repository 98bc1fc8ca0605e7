import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { BandwidthTask, BandwidthResult } from './bandwidth-worker.ts';

const measureMs = 300;
const attempts = 3;

/**
 * Bytes per second that `threads` threads read together out of a working set of that many bytes, shared out among them as
 * ggml shares out a weight matrix. Each thread compares its two halves with `memcmp`, which does nothing but read. A working
 * set larger than the last cache measures DRAM; one of the size of a model's weights measures what a decode step, which
 * reads each weight once, can get. The best of three attempts: it is a limit.
 */
export async function readBandwidth(workingSetBytes: number, threads: number): Promise<number> {
  const rates: number[] = [];
  for (let attempt = 0; attempt < attempts; attempt += 1) rates.push(await measureOnce(workingSetBytes, threads));
  return Math.max(...rates);
}

async function measureOnce(workingSetBytes: number, threads: number): Promise<number> {
  const barrier = new Int32Array(new SharedArrayBuffer(4));
  const task: BandwidthTask = { bytes: Math.ceil(workingSetBytes / threads), threads, barrier, measureMs };
  const workers = Array.from({ length: threads }, () => new Worker(new URL('./bandwidth-worker.ts', import.meta.url), { workerData: task }));
  try {
    const results = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as BandwidthResult));
    return results.reduce((sum, { bytesRead, seconds }) => sum + bytesRead / seconds, 0);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
