import { Socket } from 'node:net';
import path from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { migrate, type Dialect, type Tables } from './schema.ts';
import { SqliteDialect } from './sqlite-dialect.ts';
import { makeFolder } from '../../../common/make-folder.ts';

/** Where files and batches are kept. */
export type DatabasePlace = { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'postgres'; readonly url: string };

export interface OpenDatabase {
  readonly database: Kysely<Tables>;
  readonly dialect: Dialect;
}

/**
 * PostgreSQL's own number of its type of 64-bit integers; the driver gives them as text, because not all of them are numbers. All of ours
 * are.
 */
const int8 = 20;

/**
 * A connection on which nothing moves for so long is given up, with what was asked on it. Longer than the longest that is asked: to
 * delete the lines of a batch of `lines_max` at its greatest, a million, from a slow disk, which would be tried again without end if it
 * were cut off.
 */
const silentMsMax = 120_000;
/** A host that is gone is noticed sooner: the system asks it after so long, and a few times more. */
const keepAliveMs = 10_000;

export interface OpenDatabaseOptions {
  /** The connections to a server are cut when it aborts, with what was asked on them. */
  readonly signal?: AbortSignal;
  readonly silentMsMax?: number;
  /** Told of a folder that had to be made for a SQLite database: where it was to be another's, what is kept in it may not last. */
  readonly onFolderMade?: ((folder: string) => void) | undefined;
  /** Told when a SQLite database's thread has ended by itself; the next question starts another. */
  readonly onLost?: (error: Error) => void;
}

/** Opens it and makes what is missing. Rejects when it cannot be reached or written. */
export async function openDatabase(place: DatabasePlace, options: OpenDatabaseOptions = {}): Promise<OpenDatabase> {
  const sockets = new Set<Socket>();
  const database = new Kysely<Tables>({
    dialect: place.kind === 'sqlite' ? sqlite(place.path, options) : postgres(place.url, sockets, options.silentMsMax ?? silentMsMax),
  });
  const cut = () => {
    // First, so that none is opened in the place of those that are cut.
    database.destroy().catch(() => {});
    for (const socket of sockets) socket.destroy(new Error('The database was closed.'));
  };
  options.signal?.addEventListener('abort', cut, { once: true });
  try {
    options.signal?.throwIfAborted();
    await migrate(database, place.kind);
  } catch (error) {
    // Whoever opens it tries again with the same signal, for as long as it cannot be reached.
    options.signal?.removeEventListener('abort', cut);
    await database.destroy().catch(() => {});
    throw error;
  }
  return { database, dialect: place.kind };
}

function sqlite(file: string, { onFolderMade, onLost }: OpenDatabaseOptions): SqliteDialect {
  const folder = path.dirname(path.resolve(file));
  if (makeFolder(folder)) onFolderMade?.(folder);
  return new SqliteDialect({ path: path.resolve(file), ...(onLost && { onLost }) });
}

function postgres(url: string, sockets: Set<Socket>, silentMs: number): PostgresDialect {
  // The bound is the socket's and not the query's: a query that is given up leaves its connection waiting for the answer, and whoever had
  // it next would wait too.
  const stream = () => {
    const socket = new Socket();
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setTimeout(silentMs, () => socket.destroy(new Error(`The database has said nothing for ${silentMs} ms.`)));
    return socket;
  };
  const parse = ((oid: number, format: 'text') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser;
  const pool = new pg.Pool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: 5000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    stream,
    types: { getTypeParser: parse },
  });
  // A connection that is lost while nobody uses it is replaced when somebody does.
  pool.on('error', () => {});
  // One that is lost in use fails the query.
  pool.on('connect', (client) => void client.on('error', () => {}));
  return new PostgresDialect({ pool });
}
