import type { OnRedis } from './common/watch-redis.ts';
import { wordsOf } from './common/words-of-error.ts';
import type { Logs } from './observability/logs/logs.ts';

/** What whoever runs the gateway should know before a request finds it out: said to whoever started it, and in the log, as soon as there is one. */
export class Notices {
  readonly #onNotice: (notice: string) => void;
  readonly #logs = Promise.withResolvers<Logs | undefined>();
  #batchProblem: string | undefined;

  constructor(onNotice: (notice: string) => void) {
    this.#onNotice = onNotice;
  }

  logTo(logs: Logs | undefined): void {
    this.#logs.resolve(logs);
  }

  /** `field`: of the configuration; `meanwhile`: what becomes of what is asked without it. */
  redisOf(field: string, meanwhile: string): OnRedis {
    return (problem) => {
      if (problem === undefined) {
        this.#onNotice(`${field}: Redis is there again.`);
        this.#log((logs) => logs.info('Redis is there again', { field }));
      } else {
        this.#onNotice(`${field}: Redis cannot be reached (${problem}). Meanwhile ${meanwhile}.`);
        this.#log((logs) => logs.warn('Redis cannot be reached', { field, reason: problem, meanwhile }));
      }
    };
  }

  /** It is tried again every few seconds, and said once here. */
  readonly onBatchFailure = (error: unknown): void => {
    const reason = wordsOf(error);
    if (reason !== this.#batchProblem) this.#onNotice(`Batches wait: ${reason}`);
    this.#batchProblem = reason;
    this.#log((logs) => logs.warn('batches wait', { reason }));
  };

  readonly onBatchFolder = (folder: string): void => {
    this.#onNotice(`batches.sqlite_path: the folder ${folder} was not there, and has been made.`);
    this.#log((logs) => logs.warn('the folder of batches.sqlite_path was not there, and has been made', { folder }));
  };

  /** `field`: of the configuration. */
  readonly onInvalidCertificate = (field: string, problem: string): void => {
    this.#onNotice(`${field}: ${problem}. Peers that check it will not connect.`);
    this.#log((logs) => logs.warn('peers will not take a certificate', { field, reason: problem }));
  };

  #log(write: (logs: Logs) => void): void {
    void this.#logs.promise.then((logs) => logs && write(logs));
  }
}
