import type { OnRedis } from './common/watch-redis.ts';
import type { OnInvalid } from './ingress/grpc/pem-files.ts';
import { wordsOf } from './common/words-of-error.ts';
import type { Logs } from './observability/logs/logs.ts';

/** Words of errors may name what is another one each time. */
const batchProblemsMax = 8;

/**
 * What whoever runs the gateway should know before a request finds it out: said to whoever started it, and in the log, as soon as there is
 * one.
 */
export class Notices {
  readonly #onNotice: (notice: string) => void;
  readonly #logs = Promise.withResolvers<Logs | undefined>();
  readonly #batchProblems = new Set<string>();

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

  /** It is tried again every few seconds; each reason is said once here, and no more reasons than somebody reads. */
  readonly onBatchFailure = (error: unknown): void => {
    const reason = wordsOf(error);
    this.#log((logs) => logs.warn('batches wait', { reason }));
    if (this.#batchProblems.has(reason) || this.#batchProblems.size === batchProblemsMax) return;
    this.#batchProblems.add(reason);
    this.#onNotice(`Batches wait: ${reason}`);
    if (this.#batchProblems.size === batchProblemsMax)
      this.#onNotice('Batches wait for ever other reasons; from now on they are in the log alone.');
  };

  readonly onBatchFolder = (folder: string): void => {
    this.#onNotice(`batches.sqlite_path: the folder ${folder} was not there, and has been made.`);
    this.#log((logs) => logs.warn('the folder of batches.sqlite_path was not there, and has been made', { folder }));
  };

  /** `field`: of the configuration. */
  readonly onInvalidCertificate: OnInvalid = (field, problem, consequence): void => {
    this.#onNotice(`${field}: ${problem}. ${consequence}`);
    this.#log((logs) => logs.warn('a certificate is not valid now', { field, reason: problem, consequence }));
  };

  #log(write: (logs: Logs) => void): void {
    void this.#logs.promise.then((logs) => logs && write(logs));
  }
}
