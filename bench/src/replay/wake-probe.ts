/**
 * A process that waits for a millisecond, again and again, and tells at its input's end how much too late it was woken: what the
 * machine's other work costs any program that has to be punctual. Prints `waiting`, then `{"p50", "p99"}` in milliseconds.
 */
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { quantile } from '@open-autoglm/statistics';

const waitMs = 1;
const delaysMax = 120_000;

if (isMainThread) {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(new URL(import.meta.url), { workerData: undefined });
  thread.on('message', (delays: Float64Array) => {
    process.stdout.write(`${JSON.stringify({ p50: quantile([...delays], 0.5), p99: quantile([...delays], 0.99) })}\n`);
  });
  thread.postMessage(stop);
  process.stdout.write('waiting\n');
  process.stdin.on('end', () => Atomics.store(stop, 0, 1)).resume();
} else {
  parentPort?.once('message', (stop: Int32Array) => {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const delays = new Float64Array(delaysMax);
    let count = 0;
    while (Atomics.load(stop, 0) === 0 && count < delaysMax) {
      const begin = performance.now();
      Atomics.wait(cell, 0, 0, waitMs);
      delays[count] = performance.now() - begin - waitMs;
      count += 1;
    }
    parentPort?.postMessage(delays.subarray(0, count));
    parentPort?.close();
  });
}
