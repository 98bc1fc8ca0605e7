/** The thread that writes the log. It knows of nothing else, so that whatever blocks it blocks nothing else. */
import { parentPort, workerData } from 'node:worker_threads';
import { Destination, type Target } from './destination.ts';
import { prettyLines } from './pretty.ts';

export interface LogWorkerData {
  readonly target: Target;
  readonly isPretty: boolean;
  readonly hasColors: boolean;
}

/** Whole lines of JSON: the first `length` bytes. */
export interface LogWorkerMessage {
  readonly buffer: ArrayBuffer;
  readonly length: number;
}

/** They are written, and the buffer is given back. */
export interface LogWorkerAnswer {
  readonly buffer: ArrayBuffer;
}

const { target, isPretty, hasColors } = workerData as LogWorkerData;
const destination = new Destination(target);

parentPort?.on('message', async ({ buffer, length }: LogWorkerMessage) => {
  const lines = Buffer.from(buffer, 0, length);
  await destination.write(isPretty ? Buffer.from(prettyLines(lines.toString('utf8'), hasColors)) : lines);
  parentPort?.postMessage({ buffer } satisfies LogWorkerAnswer, [buffer]);
});
