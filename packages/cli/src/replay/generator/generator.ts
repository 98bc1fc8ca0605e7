import { Worker } from 'node:worker_threads';
import { Fifo } from '../../fifo.ts';
import type { RequestOutcome } from '../outcome.ts';
import { Exchanges } from './exchanges.ts';
import { LogReader } from './log-reader.ts';
import type { FromGenerator, GeneratorEnd, GeneratorThreadData, ToGenerator } from './messages.ts';
import { startPace, type Pace } from './pace.ts';
import type { PreparedRequest, RequestToSend } from './prepared.ts';
import { UnreadLogs, unreadBytesMax, unreadCell } from './unread-logs.ts';

export interface GeneratorProgress {
  /** Since the last call. */
  readonly outcomes: readonly RequestOutcome[];
  readonly inFlight: number;
}

export interface GeneratorOptions {
  readonly send: GeneratorThreadData['options'];
  /** In the order in which they are due. */
  readonly requests: AsyncIterable<PreparedRequest>;
  /** Ends the replay as Ctrl-C does. */
  readonly signal: AbortSignal;
  /** The clock has started. */
  readonly onBegin: () => void;
  /** Ten times a second and more. */
  readonly onProgress: (progress: GeneratorProgress) => void;
}

/** Requests that are ready and not yet due: a second of the highest rates, and no more memory than that. */
const waitingMax = 4096;
const waitingBytesMax = 64 * 1024 * 1024;
/** Of young objects: as much as it likes makes pauses of 4 ms at a thousand streams a second, this makes more of them, below 1 ms each. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 };
/** Taking a larger message apart would stop the sender for as long as an error of the replay may be. */
const batchMax = 16;
const batchBytesMax = 1024 * 1024;

/**
 * Runs the sender in a thread of its own, so that reading the trace, making prompts, parsing answers and drawing progress delay no
 * request and no time stamp. The clock starts when as much is ready as may wait. Rejects when the requests cannot be read, after the
 * thread has ended.
 */
export async function runGenerator({ send, requests, signal, onBegin, onProgress }: GeneratorOptions): Promise<GeneratorEnd> {
  const workerData: GeneratorThreadData = { options: send, unreadLogs: unreadCell() };
  const unread = new UnreadLogs(workerData.unreadLogs);
  const thread = new Worker(new URL(import.meta.url.endsWith('.ts') ? './generator-thread.ts' : './generator-thread.js', import.meta.url), {
    workerData,
    resourceLimits,
  });
  const backlog = new Backlog();
  const ended = Promise.withResolvers<GeneratorEnd>();
  const post = (message: ToGenerator, transfer: ArrayBuffer[] = []) => thread.postMessage(message, transfer);
  const stop = () => post({ kind: 'stop' });
  let outcomes: RequestOutcome[] = [];
  let takenCount = 0;
  let endedCount = 0;
  const exchanges = new Exchanges({ onOutcome: (outcome) => void outcomes.push(outcome), onSpoilt: (id) => post({ kind: 'drop', id }) });
  const report = () => {
    const taken = outcomes;
    outcomes = [];
    endedCount += taken.length;
    // The sender's own count is as old as its last word, and outcomes come between.
    onProgress({ outcomes: taken, inFlight: Math.max(0, takenCount - endedCount) });
  };
  const pace = startPace();
  const logs = new LogReader({
    pace,
    tell: exchanges.tell,
    onRead(bytes) {
      unread.read(bytes);
      report();
    },
    hurryBytes: unreadBytesMax / 4,
    later: setImmediate,
  });
  thread.on('message', (message: FromGenerator) => {
    switch (message.kind) {
      case 'begun':
        return onBegin();
      case 'log':
        return logs.add(message.log);
      case 'progress':
        backlog.taken(message.takenCount);
        takenCount = message.takenCount;
        return report();
      case 'ended':
        return ended.resolve(message);
    }
  });
  thread.on('error', (error) => ended.reject(error));
  ended.promise.then(
    () => backlog.close(),
    () => backlog.close(),
  );
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    await Promise.race([ended.promise, feed(requests, { backlog, exchanges, pace, post })]);
    const end = await ended.promise;
    await logs.done;
    return end;
  } finally {
    signal.removeEventListener('abort', stop);
    await thread.terminate();
  }
}

interface Feeding {
  readonly backlog: Backlog;
  readonly exchanges: Exchanges;
  readonly pace: Pace;
  readonly post: (message: ToGenerator, transfer?: ArrayBuffer[]) => void;
}

async function feed(requests: AsyncIterable<PreparedRequest>, { backlog, exchanges, pace, post }: Feeding): Promise<void> {
  let hasBegun = false;
  let batch: RequestToSend[] = [];
  let batchBytes = 0;
  for await (const { target, block, dueInBlockMs, message, ...expected } of requests) {
    exchanges.expect({ target, ...expected });
    batch.push({ target, block, dueInBlockMs, message });
    batchBytes += message.byteLength;
    backlog.added(message.byteLength);
    if (batch.length >= batchMax || batchBytes >= batchBytesMax) flush();
    // What is due soon must be ready before anything else.
    if (hasBegun && !backlog.isLow && pace.isOver) {
      pace.rest();
      pace.begin();
    }
    if (!backlog.isFull) continue;
    flush();
    begin();
    await backlog.room();
    pace.begin();
    if (backlog.isClosed) return;
  }
  flush();
  post({ kind: 'complete' });
  begin();

  function flush(): void {
    if (batch.length > 0)
      post(
        { kind: 'requests', requests: batch },
        batch.map(({ message }) => message.buffer),
      );
    batch = [];
    batchBytes = 0;
  }
  function begin(): void {
    if (hasBegun) return;
    hasBegun = true;
    post({ kind: 'begin' });
  }
}

/** How much waits in the thread. */
class Backlog {
  readonly #sizes = new Fifo<number>();
  #takenCount = 0;
  #bytes = 0;
  #change = Promise.withResolvers<void>();
  isClosed = false;

  get isFull(): boolean {
    return this.#sizes.length >= waitingMax || this.#bytes >= waitingBytesMax;
  }

  get isLow(): boolean {
    return this.#sizes.length < waitingMax / 2 && this.#bytes < waitingBytesMax / 2;
  }

  added(bytes: number): void {
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  taken(count: number): void {
    for (; this.#takenCount < count; this.#takenCount += 1) this.#bytes -= this.#sizes.shift() ?? 0;
    this.#changed();
  }

  close(): void {
    this.isClosed = true;
    this.#changed();
  }

  async room(): Promise<void> {
    while (this.isFull && !this.isClosed) await this.#change.promise;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
