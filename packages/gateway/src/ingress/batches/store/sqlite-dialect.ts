import { Worker } from 'node:worker_threads';
import {
  CompiledQuery,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
} from 'kysely';
import type { Tables } from './schema.ts';
import type { SqliteAnswer, SqliteQuestion, SqliteWorkerData } from './sqlite-worker.ts';

export interface SqliteOptions {
  readonly path: string;
  /** Told when the thread has ended though nobody closed it. */
  readonly onLost?: (error: Error) => void;
  readonly startWorker?: (path: string) => Worker;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** `node:sqlite` in a thread of its own. One connection; who wants it waits for it. */
export class SqliteDialect implements Dialect {
  readonly #options: SqliteOptions;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  createDriver(): Driver {
    return new SqliteDriver(this.#options);
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new SqliteAdapter();
  }

  createIntrospector(database: Kysely<Tables>): SqliteIntrospector {
    return new SqliteIntrospector(database);
  }
}

class SqliteDriver implements Driver {
  readonly #connection: RestartedConnection;

  constructor(options: SqliteOptions) {
    this.#connection = new RestartedConnection(options);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection;
  }

  async beginTransaction(): Promise<void> {
    await this.#connection.begin();
  }

  async commitTransaction(): Promise<void> {
    await this.#connection.commit();
  }

  async rollbackTransaction(): Promise<void> {
    await this.#connection.rollback();
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    await this.#connection.close();
  }
}

/** A thread that ends so often within a minute is not started again before that is over. */
const lossesMax = 5;
const lossesMs = 60_000;

/**
 * The thread, and the next one where it has ended: out of memory, say. What was asked of it has failed, and a transaction ends with the
 * thread that began it.
 */
class RestartedConnection implements DatabaseConnection {
  readonly #options: SqliteOptions;
  #worker: WorkerConnection | undefined;
  /** The thread of the transaction that is under way. */
  #transaction: WorkerConnection | undefined;
  #lostAtMs: readonly number[] = [];
  #failure: Error | undefined;
  #isClosed = false;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  // At once for writing: a transaction that only then wants to write may find that another process was quicker, and would fail.
  async begin(): Promise<void> {
    const worker = this.#current();
    await worker.executeQuery(CompiledQuery.raw('begin immediate'));
    this.#transaction = worker;
  }

  /** Where it rejects, the transaction is still there, for its rollback. */
  async commit(): Promise<void> {
    await this.#transaction?.executeQuery(CompiledQuery.raw('commit'));
    this.#transaction = undefined;
  }

  async rollback(): Promise<void> {
    const worker = this.#transaction;
    this.#transaction = undefined;
    // What it did went with its thread, where that has ended.
    if (worker && !worker.failure) await worker.executeQuery(CompiledQuery.raw('rollback'));
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return (this.#transaction ?? this.#current()).executeQuery(query);
  }

  // oxlint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncGenerator<QueryResult<R>> {
    throw new Error('Nothing here reads a table without a bound.');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.close();
  }

  #current(): WorkerConnection {
    if (this.#isClosed) throw new Error('SQLite: the database was closed');
    if (this.#worker && !this.#worker.failure) return this.#worker;
    const { path, startWorker = startThread, now = () => performance.now() } = this.#options;
    const nowMs = now();
    this.#lostAtMs = this.#lostAtMs.filter((atMs) => nowMs - atMs < lossesMs);
    if (this.#lostAtMs.length >= lossesMax) throw this.#failure;
    return (this.#worker = new WorkerConnection(startWorker(path), (error) => this.#onLost(error, now())));
  }

  #onLost(error: Error, nowMs: number): void {
    if (this.#isClosed) return;
    this.#lostAtMs = [...this.#lostAtMs, nowMs];
    this.#failure = error;
    this.#options.onLost?.(error);
  }
}

function startThread(path: string): Worker {
  const file = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';
  return new Worker(new URL(file, import.meta.url), {
    workerData: { path } satisfies SqliteWorkerData,
    execArgv: ['--no-warnings'],
    name: 'sqlite',
  });
}

interface Waiting {
  readonly resolve: (answer: SqliteAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** One thread, until it ends. */
class WorkerConnection {
  readonly #worker: Worker;
  readonly #onLost: (error: Error) => void;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #failure: Error | undefined;

  constructor(worker: Worker, onLost: (error: Error) => void) {
    this.#worker = worker;
    this.#onLost = onLost;
    worker.unref();
    worker.on('message', (answer: SqliteAnswer) => {
      this.#waiting.get(answer.id)?.resolve(answer);
      this.#waiting.delete(answer.id);
    });
    worker.on('error', (error) => this.#fail((error as Error).message));
    worker.on('exit', (code) => this.#fail(`exit code ${code}`));
  }

  /** Set once it has ended. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#failure) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<SqliteAnswer>();
    const id = (this.#nextId += 1);
    this.#waiting.set(id, { resolve, reject });
    this.#worker.postMessage({ id, sql, parameters } satisfies SqliteQuestion);
    const answer = await promise;
    if ('error' in answer) throw new Error(`SQLite: ${answer.error}`);
    return { rows: answer.rows as R[], ...(answer.changes !== undefined && { numAffectedRows: answer.changes }) };
  }

  async close(): Promise<void> {
    if (this.#failure) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage('close');
    await exited;
  }

  #fail(reason: string): void {
    if (this.#failure) return;
    const error = new Error(`SQLite: the thread of the database has ended (${reason}); the next question starts another.`);
    this.#failure = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#onLost(error);
  }
}
