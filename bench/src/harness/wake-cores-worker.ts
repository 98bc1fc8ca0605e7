import { parentPort } from 'node:worker_threads';

parentPort?.on('message', (busyMs: number) => {
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  parentPort?.postMessage('awake');
});
