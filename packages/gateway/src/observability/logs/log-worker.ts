/** The thread that writes the log. It knows of nothing else, so that whatever blocks it blocks nothing else. */
import { parentPort, workerData } from 'node:worker_threads';
import { Destination, type Target } from './destination.ts';
import { prettyLines } from './pretty.ts';

export interface LogWorkerData {
  readonly target: Target;
  readonly isPretty: boolean;
  readonly hasColors: boolean;
}

/** Whole lines of JSON. Answered, with anything, when they are written. */
export interface LogWorkerMessage {
  readonly text: string;
}

const { target, isPretty, hasColors } = workerData as LogWorkerData;
const destination = new Destination(target);

parentPort?.on('message', async ({ text }: LogWorkerMessage) => {
  await destination.write(isPretty ? prettyLines(text, hasColors) : text);
  parentPort?.postMessage('written');
});
