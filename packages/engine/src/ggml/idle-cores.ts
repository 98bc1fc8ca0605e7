import { cpus } from 'node:os';

/**
 * Returns how many cores of the machine did nothing since the last call, as a number such as 1.4. Reads the system's counters: about 0.1
 * ms.
 */
export function createIdleCores(now: () => number = () => performance.now()): () => number {
  const idleMs = () => cpus().reduce((sum, { times }) => sum + times.idle, 0);
  let lastMs = now();
  let lastIdleMs = idleMs();
  return () => {
    const [nowMs, totalMs] = [now(), idleMs()];
    const cores = nowMs > lastMs ? Math.max(0, totalMs - lastIdleMs) / (nowMs - lastMs) : 0;
    [lastMs, lastIdleMs] = [nowMs, totalMs];
    return cores;
  };
}
