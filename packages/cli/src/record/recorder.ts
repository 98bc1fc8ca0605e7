import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { CompletionPath } from '../replay/trace/trace-format.ts';
import { ArrivalOrder } from './arrival-order.ts';
import { Exchange, type Unrecorded } from './exchange.ts';
import type { LineFile } from './line-file.ts';
import type { Witness } from './proxy.ts';

export interface RecorderOptions {
  readonly file: LineFile;
  readonly keepsContents: boolean;
  /** Milliseconds on a clock that does not go back. */
  readonly now: () => number;
}

export interface RecorderCounts {
  /** Lines given to the file. */
  readonly recorded: number;
  /** Of these, requests that were written before they had ended. */
  readonly unfinished: number;
  readonly unrecorded: Readonly<Record<Unrecorded | 'not read in time', number>>;
  /** Requests of other kinds, which no trace holds. */
  readonly others: number;
}

/** Requests that run, or wait for one that arrived before them; the oldest is written unfinished beyond that. */
const heldRequestsMax = 10_000;
const heldCharactersMax = 64 * 1024 * 1024;
/** Bodies of requests that run; what comes beyond is not recorded. */
const heldBytesMax = 256 * 1024 * 1024;

/** Makes a trace of what goes by: one line for each completion, in the order of their arrival. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #startedAtMs: number;
  /** Of this recording alone, and written nowhere: hashes of two recordings have nothing in common, and nobody can check a guess. */
  readonly #key = randomBytes(32);
  readonly #order: ArrivalOrder;
  readonly #ending = new Set<Promise<void>>();
  readonly #unrecorded: Record<Unrecorded, number> = {
    'not JSON': 0,
    'without a prompt': 0,
    'too large': 0,
    'cut off': 0,
    'not understood': 0,
  };
  #recordedCount = 0;
  #otherCount = 0;
  #heldBytes = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#startedAtMs = options.now();
    const write = (line: string) => {
      this.#recordedCount += 1;
      options.file.write(line);
    };
    this.#order = new ArrivalOrder({ heldMax: heldRequestsMax, heldCharactersMax, write });
  }

  get counts(): RecorderCounts {
    return {
      recorded: this.#recordedCount,
      unfinished: this.#order.unfinishedCount,
      unrecorded: { ...this.#unrecorded, 'not read in time': this.#order.lostCount },
      others: this.#otherCount,
    };
  }

  /** For a request that is a completion. */
  witness({ method, url = '' }: IncomingMessage): Witness | undefined {
    const path = completionPath(url);
    if (method !== 'POST' || !path) {
      this.#otherCount += 1;
      return undefined;
    }
    const now = () => this.#options.now() - this.#startedAtMs;
    const exchange = new Exchange({ path, atMs: now(), now, keepsContents: this.#options.keepsContents, key: this.#key });
    const place = this.#order.arrive(() => exchange.draft());
    const holding = (act: () => void) => {
      const before = exchange.heldBytes;
      act();
      this.#heldBytes += exchange.heldBytes - before;
      if (this.#heldBytes <= heldBytesMax) return;
      this.#heldBytes -= exchange.heldBytes;
      exchange.giveUp();
    };
    const end = async (isComplete: boolean) => {
      // What fails here costs a line, not the proxy and all that runs through it.
      const ended = await exchange.end(isComplete).catch(() => ({ unrecorded: 'not understood' }) as const);
      this.#heldBytes -= exchange.heldBytes;
      if ('unrecorded' in ended) this.#unrecorded[ended.unrecorded] += 1;
      place.settle('line' in ended ? ended.line : undefined);
    };
    return {
      requestPiece: (piece) => holding(() => exchange.requestPiece(piece)),
      requestEnds: () => holding(() => exchange.requestEnds()),
      answerBegins: (status, contentType) => exchange.answerBegins(status, contentType),
      answerPiece: (piece) => holding(() => exchange.answerPiece(piece)),
      ends: (isComplete) => {
        const ending = end(isComplete).finally(() => this.#ending.delete(ending));
        this.#ending.add(ending);
      },
    };
  }

  /** Resolves when all lines are given to the file; requests that still run are written as far as they are known. */
  async end(): Promise<void> {
    await Promise.all(this.#ending);
    this.#order.end();
  }
}

/** With or without the version, which some clients have in their base URL; a query says nothing here. */
function completionPath(url: string): CompletionPath | undefined {
  const path = url.split('?', 1)[0];
  if (path === '/v1/chat/completions' || path === '/v1/completions') return path;
  return undefined;
}
