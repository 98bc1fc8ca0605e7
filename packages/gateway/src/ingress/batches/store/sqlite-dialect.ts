import { Worker } from 'node:worker_threads';
import { CompiledQuery, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler, type DatabaseConnection, type Dialect, type Driver, type Kysely, type QueryResult } from 'kysely';
import type { Tables } from './schema.ts';
import type { SqliteAnswer, SqliteQuestion, SqliteWorkerData } from './sqlite-worker.ts';

/** `node:sqlite` in a thread of its own. One connection; who wants it waits for it. */
export class SqliteDialect implements Dialect {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  createDriver(): Driver {
    return new SqliteDriver(this.#path);
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
  readonly #path: string;
  #connection: WorkerConnection | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async init(): Promise<void> {
    this.#connection = new WorkerConnection(this.#path);
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection as WorkerConnection;
  }

  // At once for writing: a transaction that only then wants to write may find that another process was quicker, and would fail.
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    await this.#connection?.close();
  }
}

interface Waiting {
  readonly resolve: (answer: SqliteAnswer) => void;
  readonly reject: (error: Error) => void;
}

class WorkerConnection implements DatabaseConnection {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #failure: Error | undefined;

  constructor(path: string) {
    const file = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: { path } satisfies SqliteWorkerData, execArgv: ['--no-warnings'], name: 'sqlite' });
    this.#worker.unref();
    this.#worker.on('message', (answer: SqliteAnswer) => {
      this.#waiting.get(answer.id)?.resolve(answer);
      this.#waiting.delete(answer.id);
    });
    this.#worker.on('error', (error) => this.#fail(error as Error));
    this.#worker.on('exit', () => this.#fail(new Error('the database was closed')));
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

  // oxlint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncGenerator<QueryResult<R>> {
    throw new Error('Nothing here reads a table without a bound.');
  }

  async close(): Promise<void> {
    if (this.#failure) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage('close');
    await exited;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
