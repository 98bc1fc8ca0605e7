import { sql, type Kysely, type RawBuilder, type SqlBool, type Transaction } from 'kysely';
import { keyOfTenant } from '../../../common/key-of-tenant.ts';

/** All times in milliseconds since 1970. */
export interface FilesTable {
  id: string;
  tenant: string;
  purpose: string;
  filename: string;
  size_bytes: number;
  created_at_ms: number;
  expires_at_ms: number | null;
  /** 0 while its bytes come; nobody sees it then. */
  is_complete: number;
  /** Of the batch that writes it. */
  batch_id: string | null;
}

/** A file's bytes, in pieces that fit into memory. */
export interface ChunksTable {
  file_id: string;
  number: number;
  bytes: Uint8Array;
}

export type BatchStatus = 'validating' | 'failed' | 'in_progress' | 'finalizing' | 'completed' | 'expired' | 'cancelling' | 'cancelled';

export interface BatchesTable {
  id: string;
  tenant: string;
  /** The name of the key that created it, where keys are checked. */
  key_name: string | null;
  endpoint: string;
  input_file_id: string;
  completion_window: string;
  metadata: string | null;
  output_expires_seconds: number | null;
  status: BatchStatus;
  created_at_ms: number;
  expires_at_ms: number;
  in_progress_at_ms: number | null;
  finalizing_at_ms: number | null;
  cancelling_at_ms: number | null;
  /** When it completed, failed, expired or was cancelled, as the status says. */
  ended_at_ms: number | null;
  output_file_id: string | null;
  error_file_id: string | null;
  /** JSON: what is wrong with the input file. */
  errors: string | null;
  /** How many lines there are, and when the batch has ended, what became of them. */
  total: number;
  completed: number;
  failed: number;
  input_tokens: number;
  output_tokens: number;
  /** The gateway that works on it, and until when it has said so. */
  claimed_by: string | null;
  claimed_until_ms: number;
}

/** A request of a batch that has not ended. */
export interface LinesTable {
  batch_id: string;
  /** From 1, as in the file. */
  number: number;
  custom_id: string;
  /** The body as JSON, until it is answered. */
  request: string | null;
  /** Null until it is answered. */
  outcome: 'completed' | 'failed' | null;
  /** The line of the output or error file. */
  result: string | null;
  input_tokens: number;
  output_tokens: number;
}

export interface Tables {
  autoglm_files: FilesTable;
  autoglm_file_chunks: ChunksTable;
  autoglm_batches: BatchesTable;
  autoglm_batch_lines: LinesTable;
}

/** PostgreSQL's texts hold every character but this one. */
export function isText(value: string): boolean {
  return !value.includes('\0');
}

/** Whether a row is of a tenant of this one's key. Not by `like`, for which an underscore of a key is any character. */
export function isOfKeyOf(tenant: string): RawBuilder<SqlBool> {
  const key = keyOfTenant(tenant);
  return sql<SqlBool>`(tenant = ${key} or substr(tenant, 1, ${sql.lit(key.length + 1)}) = ${`${key}.`})`;
}

export type Dialect = 'sqlite' | 'postgres';

/** Any number, as long as it is always the same one. */
const lockNumber = 7_316_240_519;

/** Whoever comes next waits until this transaction ends. SQLite's are one at a time anyway. */
export async function lockAll(transaction: Transaction<Tables>, dialect: Dialect): Promise<void> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(lockNumber)})`.execute(transaction);
}

/** Makes the tables that are not there. Gateways that start together wait for each other. */
export async function migrate(database: Kysely<Tables>, dialect: Dialect): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await lockAll(transaction, dialect);
    const bytes = dialect === 'postgres' ? 'bytea' : 'blob';
    const { schema } = transaction;
    await schema
      .createTable('autoglm_files')
      .ifNotExists()
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('tenant', 'text', (column) => column.notNull())
      .addColumn('purpose', 'text', (column) => column.notNull())
      .addColumn('filename', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addColumn('expires_at_ms', 'bigint')
      .addColumn('is_complete', 'integer', (column) => column.notNull())
      .addColumn('batch_id', 'text')
      .execute();
    await schema
      .createIndex('autoglm_files_by_tenant')
      .ifNotExists()
      .on('autoglm_files')
      .columns(['tenant', 'created_at_ms', 'id'])
      .execute();
    await schema
      .createTable('autoglm_file_chunks')
      .ifNotExists()
      .addColumn('file_id', 'text', (column) => column.notNull())
      .addColumn('number', 'integer', (column) => column.notNull())
      .addColumn('bytes', bytes, (column) => column.notNull())
      .addPrimaryKeyConstraint('autoglm_file_chunks_key', ['file_id', 'number'])
      .execute();
    await schema
      .createTable('autoglm_batches')
      .ifNotExists()
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('tenant', 'text', (column) => column.notNull())
      .addColumn('key_name', 'text')
      .addColumn('endpoint', 'text', (column) => column.notNull())
      .addColumn('input_file_id', 'text', (column) => column.notNull())
      .addColumn('completion_window', 'text', (column) => column.notNull())
      .addColumn('metadata', 'text')
      .addColumn('output_expires_seconds', 'integer')
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
      .addColumn('in_progress_at_ms', 'bigint')
      .addColumn('finalizing_at_ms', 'bigint')
      .addColumn('cancelling_at_ms', 'bigint')
      .addColumn('ended_at_ms', 'bigint')
      .addColumn('output_file_id', 'text')
      .addColumn('error_file_id', 'text')
      .addColumn('errors', 'text')
      .addColumn('total', 'integer', (column) => column.notNull())
      .addColumn('completed', 'integer', (column) => column.notNull())
      .addColumn('failed', 'integer', (column) => column.notNull())
      .addColumn('input_tokens', 'bigint', (column) => column.notNull())
      .addColumn('output_tokens', 'bigint', (column) => column.notNull())
      .addColumn('claimed_by', 'text')
      .addColumn('claimed_until_ms', 'bigint', (column) => column.notNull())
      .execute();
    await schema
      .createIndex('autoglm_batches_by_tenant')
      .ifNotExists()
      .on('autoglm_batches')
      .columns(['tenant', 'created_at_ms', 'id'])
      .execute();
    await schema
      .createTable('autoglm_batch_lines')
      .ifNotExists()
      .addColumn('batch_id', 'text', (column) => column.notNull())
      .addColumn('number', 'integer', (column) => column.notNull())
      .addColumn('custom_id', 'text', (column) => column.notNull())
      .addColumn('request', 'text')
      .addColumn('outcome', 'text')
      .addColumn('result', 'text')
      .addColumn('input_tokens', 'bigint', (column) => column.notNull())
      .addColumn('output_tokens', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('autoglm_batch_lines_key', ['batch_id', 'number'])
      .execute();
    await schema
      .createIndex('autoglm_batch_lines_by_outcome')
      .ifNotExists()
      .on('autoglm_batch_lines')
      .columns(['batch_id', 'outcome', 'number'])
      .execute();
  });
}
