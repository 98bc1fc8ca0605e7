import { workerData } from 'node:worker_threads';

export interface BandwidthTask {
  readonly bytes: number;
  readonly threads: number;
  /** Counts the threads that are ready to read. Shared. */
  readonly barrier: Int32Array;
  /** Where this thread puts its bytes per second. Shared. */
  readonly rate: Float64Array;
  readonly measureMs: number;
}

const { bytes, threads, barrier, rate, measureMs } = workerData as BandwidthTask;

// Filled, because memory never written to is one page of zeros, read from the cache.
const left = Buffer.alloc(Math.ceil(bytes / 2), 1);
const right = Buffer.alloc(Math.ceil(bytes / 2), 1);
if (Atomics.add(barrier, 0, 1) + 1 === threads) Atomics.notify(barrier, 0);
for (let ready = Atomics.load(barrier, 0); ready < threads; ready = Atomics.load(barrier, 0)) Atomics.wait(barrier, 0, ready);

const start = performance.now();
let elapsedMs = 0;
let bytesRead = 0;
while (elapsedMs < measureMs) {
  if (left.compare(right) !== 0) throw new Error('equal memory compared as different');
  bytesRead += left.length + right.length;
  elapsedMs = performance.now() - start;
}
rate[0] = (bytesRead * 1000) / elapsedMs;
