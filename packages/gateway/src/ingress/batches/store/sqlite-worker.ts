/** The thread that has the SQLite database: a disk that is slow keeps nobody but the database's own callers waiting. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export interface SqliteWorkerData {
  readonly path: string;
}

export interface SqliteQuestion {
  readonly id: number;
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export type SqliteAnswer =
  | { readonly id: number; readonly rows: readonly Record<string, unknown>[]; readonly changes: bigint | undefined }
  | { readonly id: number; readonly error: string };

/** How long another process may hold the database. */
const busyTimeoutMs = 10_000;
const statementsMax = 64;

const database = new DatabaseSync((workerData as SqliteWorkerData).path, { timeout: busyTimeoutMs });
// A process that is killed loses nothing of what was committed; a machine without power may lose the last of it, and no more.
database.exec('pragma journal_mode = wal; pragma synchronous = normal');

const statements = new Map<string, StatementSync>();

parentPort?.on('message', (question: SqliteQuestion | 'close') => {
  if (question === 'close') {
    database.close();
    parentPort?.close();
    return;
  }
  parentPort?.postMessage(answer(question));
});

function answer({ id, sql, parameters }: SqliteQuestion): SqliteAnswer {
  try {
    const statement = prepare(sql);
    const values = parameters as SQLInputValue[];
    if (statement.columns().length > 0) return { id, rows: statement.all(...values), changes: undefined };
    return { id, rows: [], changes: BigInt(statement.run(...values).changes) };
  } catch (error) {
    return { id, error: (error as Error).message };
  }
}

function prepare(sql: string): StatementSync {
  const known = statements.get(sql);
  if (known) return known;
  const [oldest] = statements.keys();
  if (statements.size >= statementsMax) statements.delete(oldest as string);
  const statement = database.prepare(sql);
  statements.set(sql, statement);
  return statement;
}
