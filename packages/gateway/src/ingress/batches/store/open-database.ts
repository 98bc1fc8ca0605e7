import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { migrate, type Dialect, type Tables } from './schema.ts';
import { SqliteDialect } from './sqlite-dialect.ts';

/** Where files and batches are kept. */
export type DatabasePlace = { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'postgres'; readonly url: string };

export interface OpenDatabase {
  readonly database: Kysely<Tables>;
  readonly dialect: Dialect;
}

/** PostgreSQL's own number of its type of 64-bit integers; the driver gives them as text, because not all of them are numbers. All of ours are. */
const int8 = 20;

/** Opens it and makes what is missing. Rejects when it cannot be reached or written. */
export async function openDatabase(place: DatabasePlace): Promise<OpenDatabase> {
  const database = new Kysely<Tables>({ dialect: place.kind === 'sqlite' ? sqlite(place.path) : postgres(place.url) });
  try {
    await migrate(database, place.kind);
  } catch (error) {
    await database.destroy().catch(() => {});
    throw error;
  }
  return { database, dialect: place.kind };
}

function sqlite(file: string): SqliteDialect {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  return new SqliteDialect(path.resolve(file));
}

function postgres(url: string): PostgresDialect {
  const parse = ((oid: number, format: 'text') => (oid === int8 ? Number : pg.types.getTypeParser(oid, format))) as typeof pg.types.getTypeParser;
  const pool = new pg.Pool({ connectionString: url, max: 8, connectionTimeoutMillis: 5000, idleTimeoutMillis: 30_000, types: { getTypeParser: parse } });
  // A connection that is lost while nobody uses it is replaced when somebody does.
  pool.on('error', () => {});
  return new PostgresDialect({ pool });
}
