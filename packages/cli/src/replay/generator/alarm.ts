import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';

/** Rings once, at a moment on the clock of `process.hrtime`; setting it anew moves the moment. */
export interface Alarm {
  /** Nanoseconds. */
  set(atNs: bigint): void;
  close(): void;
}

/** Given to the alarm's thread. */
export interface AlarmThreadData {
  /** [0]: the moment, or `neverNs`. */
  readonly moment: BigInt64Array;
  /** [0]: how often it was set. */
  readonly version: Int32Array;
  readonly port: MessagePort;
}

export const neverNs = 2n ** 62n;

/**
 * Node's timers and epoll count whole milliseconds, which alone would spend the whole error that a replay may have. A thread that waits
 * for a memory cell is woken within a tenth of one, and costs two context switches for each alarm, where spinning would cost a core.
 */
export function startAlarm(onRing: () => void): Alarm {
  const moment = new BigInt64Array(new SharedArrayBuffer(8));
  const version = new Int32Array(new SharedArrayBuffer(4));
  Atomics.store(moment, 0, neverNs);
  const { port1, port2 } = new MessageChannel();
  port1.on('message', onRing);
  const workerData: AlarmThreadData = { moment, version, port: port2 };
  const thread = new Worker(new URL(import.meta.url.endsWith('.ts') ? './alarm-thread.ts' : './alarm-thread.js', import.meta.url), {
    workerData,
    transferList: [port2],
  });
  return {
    set(atNs) {
      Atomics.store(moment, 0, atNs);
      Atomics.add(version, 0, 1);
      Atomics.notify(version, 0);
    },
    close() {
      port1.close();
      void thread.terminate();
    },
  };
}
