import { workerData } from 'node:worker_threads';
import { neverNs, type AlarmThreadData } from './alarm.ts';
import { takeShortSlices } from './short-slices.ts';

const { moment, version, port } = workerData as AlarmThreadData;

await takeShortSlices();

// It ends with the thread: whoever started it terminates it.
for (;;) {
  const seen = Atomics.load(version, 0);
  const at = Atomics.load(moment, 0);
  const waitMs = at === neverNs ? Infinity : Number(at - process.hrtime.bigint()) / 1e6;
  if (waitMs > 0) {
    Atomics.wait(version, 0, seen, waitMs);
    continue;
  }
  // Only if nobody has set another moment since.
  if (Atomics.compareExchange(moment, 0, at, neverNs) === at) port.postMessage(0);
}
