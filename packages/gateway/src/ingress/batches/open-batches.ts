import { randomUUID } from 'node:crypto';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Asked, AskedEmbeddings, EmbeddingAsker } from '../../common/asker.ts';
import { ConfigError } from '../../common/config-error.ts';
import type { Access } from '../access.ts';
import type { Generations } from '../generations.ts';
import type { FindResource } from '../resource.ts';
import { BatchRoutes, type BatchStores } from './batch-routes.ts';
import { BatchRunner, noReading, type BatchReading } from './batch-runner.ts';
import { FileRoutes, type FileBounds } from './file-routes.ts';
import type { DatabasePlace, OpenDatabase } from './store/open-database.ts';

/** As the configuration has them. */
export interface BatchOptions {
  readonly sqlite_path?: string;
  readonly postgres_url_env?: string;
  readonly concurrency: number;
  readonly running_max: number;
  readonly per_tenant_max: number;
  readonly per_key_max?: number;
  readonly lines_max: number;
  readonly line_bytes_max: number;
  readonly file_bytes_max: number;
  readonly tenant_files_max: number;
  readonly tenant_bytes_max: number;
  readonly key_files_max?: number;
  readonly key_bytes_max?: number;
  readonly bytes_max: number;
  readonly ttl_seconds: number;
  readonly lease_ms: number;
}

export interface BatchesParts {
  readonly access: Access;
  /** How many are configured. */
  readonly keyCount: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly bodyLimitBytes: number;
  readonly writeAnswer: (asked: Asked) => Promise<object>;
  readonly writeEmbeddings: (asked: AskedEmbeddings) => Promise<string>;
  readonly writeError: (error: AutoglmError) => string;
  /** Told what keeps batches from going on. */
  readonly onFailure: (error: unknown) => void;
  readonly onFolderMade?: (folder: string) => void;
}

export interface Batches {
  readonly resources: readonly ((generations: Generations, embeddings: EmbeddingAsker) => FindResource)[];
  /** Absent where no batches are kept. */
  readonly read?: () => BatchReading;
  /** Begins no line any more; what is under way may end. */
  pause(): void;
  close(): Promise<void>;
}

/** A key may have so many times what one of its tenants may, where nothing else is said. */
const tenantsPerKey = 16;
/** A database that could not be opened is tried again after so long. */
const openAgainMs = 2000;
/** Batches are handed back and the database closed in milliseconds; one that does not answer keeps no server from ending. */
const closeMsMax = 3000;

/** Files and batches; nothing where the configuration has no place for them. Throws `ConfigError`. */
export function openBatches(options: BatchOptions, parts: BatchesParts): Batches {
  const place = placeOf(options, parts.env);
  if (!place) return { resources: [unavailable], pause: () => {}, close: async () => {} };
  let open: Open | undefined;
  const create = (generations: Generations, embeddings: EmbeddingAsker): FindResource => {
    open = new Open(place, options, parts, generations, embeddings);
    return open.find;
  };
  return { resources: [create], read: () => open?.read() ?? noReading, pause: () => open?.pause(), close: async () => open?.close() };
}

function placeOf({ sqlite_path: path, postgres_url_env: variable }: BatchOptions, env: BatchesParts['env']): DatabasePlace | undefined {
  if (path !== undefined && variable !== undefined) throw new ConfigError('batches: either sqlite_path or postgres_url_env, not both.');
  if (path !== undefined) return { kind: 'sqlite', path };
  if (variable === undefined) return undefined;
  const url = env[variable];
  if (!url || !/^postgres(ql)?:\/\//.test(url))
    throw new ConfigError(
      `batches.postgres_url_env: the environment variable ${variable} does not hold an address such as postgres://user:password@host/name.`,
    );
  return { kind: 'postgres', url };
}

const unavailable = (): FindResource => (path) => {
  if (!/^\/v1\/(files|batches)(\/|$)/.test(path)) return undefined;
  const methods = ['GET', 'POST', 'DELETE'];
  const message =
    'This server keeps no files and no batches: say where in its configuration, such as "batches: {sqlite_path: ./batches.sqlite}".';
  return { methods, serve: () => Promise.reject(new AutoglmError('route_not_found', message)) };
};

/** The parts, joined. The database is opened at once, because there may be batches to go on with; a request waits for it. */
class Open {
  readonly find: FindResource;
  readonly #opening: Promise<OpenDatabase & { readonly stores: BatchStores; readonly runner: BatchRunner }>;
  readonly #closed = new AbortController();
  /** The database is given up. */
  readonly #cut = new AbortController();
  /** Why it is not open yet. */
  #failure: unknown;
  #runner: BatchRunner | undefined;

  constructor(place: DatabasePlace, options: BatchOptions, parts: BatchesParts, generations: Generations, embeddings: EmbeddingAsker) {
    const { access, bodyLimitBytes } = parts;
    const now = Date.now;
    const newFileId = () => `file-${randomUUID().replaceAll('-', '')}`;
    const ttlMs = options.ttl_seconds * 1000;
    this.#opening = this.#open(place, parts).then(async (opened) => {
      // They load the database's library, as `#open` has.
      const [{ BatchStore }, { FileStore }] = await Promise.all([import('./store/batch-store.ts'), import('./store/file-store.ts')]);
      const stores = {
        batches: new BatchStore(opened.database, opened.dialect),
        files: new FileStore(opened.database, opened.dialect, now),
      };
      const { writeAnswer, writeEmbeddings, writeError, onFailure } = parts;
      const runner = new BatchRunner({
        store: stores.batches,
        files: stores.files,
        lines: { asker: generations, embeddings, writeAnswer, writeEmbeddings, writeError, wait, random: Math.random },
        name: randomUUID(),
        concurrency: options.concurrency,
        runningMax: options.running_max,
        linesMax: options.lines_max,
        lineBytesMax: options.line_bytes_max,
        ttlMs,
        leaseMs: options.lease_ms,
        now,
        newFileId,
        onFailure,
      });
      this.#runner = runner;
      if (!this.#closed.signal.aborted) runner.look();
      return { ...opened, stores, runner };
    });
    // Told to whoever asks.
    this.#opening.catch(() => {});
    const stores = () => this.#stores();
    const files = new FileRoutes({
      files: async () => (await stores()).files,
      access,
      generations,
      now,
      newId: newFileId,
      bounds: { ...boundsOf(options, parts.keyCount), ttlMs },
    });
    const batches = new BatchRoutes({
      stores,
      access,
      generations,
      bodyLimitBytes,
      perTenantMax: options.per_tenant_max,
      perKeyMax: options.per_key_max ?? tenantsPerKey * options.per_tenant_max,
      now,
      newId: () => `batch_${randomUUID().replaceAll('-', '')}`,
      onCreated: () => void this.#opening.then(({ runner }) => runner.look()),
      onCancelled: (id) => void this.#opening.then(({ runner }) => runner.cancelled(id)),
    });
    this.find = (path) => {
      const found = files.find(path) ?? batches.find(path);
      return found && { ...found, serve: (call) => found.serve(call).catch((thrown: unknown) => Promise.reject(toStorageError(thrown))) };
    };
  }

  read(): BatchReading {
    return this.#runner?.read() ?? noReading;
  }

  pause(): void {
    this.#closed.abort(new AutoglmError('draining', 'The server is shutting down.'));
    this.#opening.then(
      ({ runner }) => runner.pause(),
      () => {},
    );
  }

  async close(): Promise<void> {
    this.pause();
    const { promise: cut, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#cut.abort();
      resolve();
    }, closeMsMax);
    await Promise.race([this.#closeInOrder(), cut]).finally(() => clearTimeout(timer));
  }

  async #closeInOrder(): Promise<void> {
    const opened = await this.#opening.catch(() => undefined);
    await opened?.runner.close();
    await opened?.database.destroy();
  }

  /** As often as it takes: a database that starts later than we do is no reason to end. */
  async #open(place: DatabasePlace, { onFailure, onFolderMade }: BatchesParts): Promise<OpenDatabase> {
    const { openDatabase } = await import('./store/open-database.ts');
    for (;;) {
      this.#closed.signal.throwIfAborted();
      try {
        const opened = await openDatabase(place, { signal: this.#cut.signal, onFolderMade, onLost: onFailure });
        this.#failure = undefined;
        return opened;
      } catch (error) {
        this.#failure = error;
        onFailure(error);
        await wait(openAgainMs, this.#closed.signal);
      }
    }
  }

  async #stores(): Promise<BatchStores> {
    const opened = await Promise.race([this.#opening, this.#failure === undefined ? new Promise<never>(() => {}) : undefined]);
    if (opened) return opened.stores;
    throw new AutoglmError('storage_unavailable', 'The database of files and batches cannot be reached.', {
      retryAfterSeconds: 5,
      cause: this.#failure,
    });
  }
}

function boundsOf(options: BatchOptions, keyCount: number): Omit<FileBounds, 'ttlMs'> {
  const { file_bytes_max: fileBytesMax, tenant_files_max: tenantFilesMax, tenant_bytes_max: tenantBytesMax, bytes_max: bytesMax } = options;
  // Where there is no other key, nothing is to be kept for one.
  const {
    key_files_max: keyFilesMax = tenantsPerKey * tenantFilesMax,
    key_bytes_max: keyBytesMax = keyCount > 1 ? Math.max(tenantBytesMax, bytesMax / 2) : bytesMax,
  } = options;
  return { fileBytesMax, tenantFilesMax, tenantBytesMax, keyFilesMax, keyBytesMax, bytesMax };
}

/** What a database says is no client's business; that it does not work just now is. */
function toStorageError(cause: unknown): AutoglmError {
  return cause instanceof AutoglmError
    ? cause
    : new AutoglmError('storage_unavailable', 'The database of files and batches does not work just now.', { retryAfterSeconds: 5, cause });
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
