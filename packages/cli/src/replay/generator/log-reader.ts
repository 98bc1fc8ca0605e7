import { Fifo } from '../../fifo.ts';
import type { TellFact } from './exchange-facts.ts';
import { readFacts } from './fact-log.ts';
import type { Pace } from './pace.ts';

export interface LogReaderOptions {
  readonly tell: TellFact;
  /** A whole log. */
  readonly onRead: (bytes: number) => void;
  readonly pace: Pace;
  /** With more than this unread it does not rest: a sender that is held up is worse than one that is late. */
  readonly hurryBytes: number;
  /** Calls back after what else there is to do. */
  readonly later: (work: () => void) => void;
}

/** Reads logs in their order, some facts at a time. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #logs = new Fifo<Uint8Array>();
  #unreadBytes = 0;
  /** In the first of them. */
  #at = 0;
  #done = Promise.withResolvers<void>();

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#done.resolve();
  }

  add(log: Uint8Array): void {
    this.#logs.push(log);
    this.#unreadBytes += log.byteLength;
    if (this.#logs.length > 1) return;
    this.#done = Promise.withResolvers();
    this.#options.later(this.#work);
  }

  /** Settles when all that was added has been read. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  readonly #work = () => {
    const { tell, onRead, pace, hurryBytes, later } = this.#options;
    const log = this.#logs.first as Uint8Array;
    pace.begin();
    this.#at = readFacts(log, tell, { from: this.#at, isOver: () => pace.isOver });
    const isWhole = this.#at === log.byteLength;
    if (isWhole) {
      this.#at = 0;
      this.#logs.shift();
      this.#unreadBytes -= log.byteLength;
      onRead(log.byteLength);
    }
    if (this.#logs.length === 0) return this.#done.resolve();
    if (this.#unreadBytes <= hurryBytes) pace.rest();
    later(this.#work);
  };
}
