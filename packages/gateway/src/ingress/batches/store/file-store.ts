import { AutoglmError } from '@open-autoglm/protocol';
import type { Kysely, Transaction } from 'kysely';
import { isFullOfFiles, roomIn, type KeepBounds, type Usage } from './file-room.ts';
import { isOfKeyOf, isText, lockAll, type Dialect, type FilesTable, type Tables } from './schema.ts';

export type StoredFile = Pick<FilesTable, 'id' | 'purpose' | 'filename' | 'size_bytes' | 'created_at_ms' | 'expires_at_ms'>;

export interface NewFile extends Pick<FilesTable, 'id' | 'tenant' | 'purpose' | 'filename' | 'expires_at_ms'> {
  readonly batch_id?: string;
}

export interface FileListing {
  readonly tenant: string;
  readonly purpose: string | undefined;
  /** The last file of the page before. */
  readonly after: string | undefined;
  readonly order: 'asc' | 'desc';
  readonly limit: number;
}

export type FileChanges = Partial<Pick<FilesTable, 'purpose' | 'filename' | 'expires_at_ms'>>;

/** Bytes of one row. */
export const chunkBytes = 256 * 1024;
const columns = ['id', 'purpose', 'filename', 'size_bytes', 'created_at_ms', 'expires_at_ms'] as const;

/** Files of tenants, in pieces. A file is there for others once it is complete. */
export class FileStore {
  readonly #database: Kysely<Tables>;
  readonly #dialect: Dialect;
  readonly #now: () => number;

  constructor(database: Kysely<Tables>, dialect: Dialect, now: () => number) {
    this.#database = database;
    this.#dialect = dialect;
    this.#now = now;
  }

  /** What a tenant keeps, what those of its key do, and what all keep together. Files that are still coming count. */
  async usage(tenant: string): Promise<Usage> {
    return usageIn(this.#database, tenant);
  }

  /**
   * The file is there from now on, if it fits beside those that are: of several that came at the same time the first to be finished is
   * kept, and never is more kept than may be. Otherwise says what there are too many of; the file is still to be discarded then.
   * Rejects with `storage_unavailable` where it took so long to come that it was swept.
   */
  async keep(writer: FileWriter, tenant: string, changes: FileChanges, bounds: KeepBounds): Promise<'files' | 'bytes' | undefined> {
    await writer.flush();
    return this.#database.transaction().execute(async (transaction) => {
      await lockAll(transaction, this.#dialect);
      const used = await usageIn(transaction, tenant, true);
      if (isFullOfFiles(used, bounds)) return 'files';
      if (writer.size > roomIn(used, bounds)) return 'bytes';
      const kept = await transaction
        .updateTable('autoglm_files')
        .set({ ...changes, is_complete: 1 })
        .where('id', '=', writer.id)
        .executeTakeFirst();
      if (kept.numUpdatedRows !== 1n)
        throw new AutoglmError('storage_unavailable', 'The file took too long to come, and what had come was deleted: send it again.', {
          retryAfterSeconds: 1,
        });
      return undefined;
    });
  }

  /** Writes a file piece by piece; its size is known, and it is there, when `keep` or the end of its batch has taken it. */
  async begin({ batch_id: batchId, ...file }: NewFile): Promise<FileWriter> {
    const createdAtMs = this.#now();
    const filename = file.filename.replaceAll('\0', '');
    await this.#database
      .insertInto('autoglm_files')
      .values({ ...file, filename, size_bytes: 0, created_at_ms: createdAtMs, is_complete: 0, batch_id: batchId ?? null })
      .execute();
    return new FileWriter(this.#database, file.id, createdAtMs);
  }

  async find(tenant: string, id: string): Promise<StoredFile | undefined> {
    if (!isText(id)) return undefined;
    return this.#visible(tenant).where('id', '=', id).select(columns).executeTakeFirst();
  }

  async list({ tenant, purpose, after, order, limit }: FileListing): Promise<StoredFile[]> {
    const from = after === undefined ? undefined : await this.find(tenant, after);
    if ((after !== undefined && !from) || !isText(purpose ?? '')) return [];
    let query = this.#visible(tenant).select(columns).orderBy('created_at_ms', order).orderBy('id', order).limit(limit);
    if (purpose !== undefined) query = query.where('purpose', '=', purpose);
    if (from) {
      const beyond = order === 'asc' ? '>' : '<';
      query = query.where(({ eb, and, or }) =>
        or([
          eb('created_at_ms', beyond, from.created_at_ms),
          and([eb('created_at_ms', '=', from.created_at_ms), eb('id', beyond, from.id)]),
        ]),
      );
    }
    return query.execute();
  }

  /** Rejects with `file_not_found` where it is deleted before its end was read. */
  async *read({ id, size_bytes: size }: Pick<StoredFile, 'id' | 'size_bytes'>): AsyncGenerator<Uint8Array> {
    for (let number = 0, bytesRead = 0; bytesRead < size; number += 1) {
      const chunk = await this.#database
        .selectFrom('autoglm_file_chunks')
        .where('file_id', '=', id)
        .where('number', '=', number)
        .select('bytes')
        .executeTakeFirst();
      if (!chunk) throw new AutoglmError('file_not_found', `The file ${id} was deleted while it was read.`);
      bytesRead += chunk.bytes.length;
      yield chunk.bytes;
    }
  }

  /** Whether it was there. */
  async delete(tenant: string, id: string): Promise<boolean> {
    const file = await this.find(tenant, id);
    if (file) await deleteFiles(this.#database, [id]);
    return file !== undefined;
  }

  /** Those whose time is over, and those whose writer was cut off before this moment. At most so many at once. */
  async sweep(abandonedBeforeMs: number, max: number): Promise<number> {
    const old = await this.#database
      .selectFrom('autoglm_files')
      .select('id')
      .limit(max)
      .where(({ eb, and, or }) =>
        or([eb('expires_at_ms', '<=', this.#now()), and([eb('is_complete', '=', 0), eb('created_at_ms', '<', abandonedBeforeMs)])]),
      )
      .execute();
    await deleteFiles(
      this.#database,
      old.map(({ id }) => id),
    );
    return old.length;
  }

  #visible(tenant: string) {
    return this.#database
      .selectFrom('autoglm_files')
      .where('tenant', '=', tenant)
      .where('is_complete', '=', 1)
      .where(({ eb, or }) => or([eb('expires_at_ms', 'is', null), eb('expires_at_ms', '>', this.#now())]));
  }
}

export class FileWriter {
  readonly id: string;
  readonly createdAtMs: number;
  readonly #database: Kysely<Tables>;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #number = 0;
  #size = 0;

  constructor(database: Kysely<Tables>, id: string, createdAtMs: number) {
    this.#database = database;
    this.id = id;
    this.createdAtMs = createdAtMs;
  }

  /** Resolves when it may be given more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#pending.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#pendingBytes += bytes.byteLength;
    this.#size += bytes.byteLength;
    if (this.#pendingBytes >= chunkBytes) await this.flush();
  }

  get size(): number {
    return this.#size;
  }

  /** As if it had never been begun. */
  async discard(): Promise<void> {
    await deleteFiles(this.#database, [this.id]);
  }

  /** All that was given is written, and counts as kept; the file is not there yet. */
  async flush(): Promise<void> {
    if (this.#pendingBytes === 0) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      const chunk = bytes.subarray(start, start + chunkBytes);
      await this.#database.insertInto('autoglm_file_chunks').values({ file_id: this.id, number: this.#number, bytes: chunk }).execute();
      this.#number += 1;
    }
    // So that what is still coming counts as kept.
    await this.#database.updateTable('autoglm_files').set({ size_bytes: this.#size }).where('id', '=', this.id).execute();
  }
}

async function usageIn(database: Kysely<Tables> | Transaction<Tables>, tenant: string, isThere = false): Promise<Usage> {
  let sum = database
    .selectFrom('autoglm_files')
    .select(({ fn }) => [fn.countAll<number>().as('count'), fn.sum<number | null>('size_bytes').as('bytes')]);
  if (isThere) sum = sum.where('is_complete', '=', 1);
  const own = await sum.where('tenant', '=', tenant).executeTakeFirstOrThrow();
  const ofKey = await sum.where(isOfKeyOf(tenant)).executeTakeFirstOrThrow();
  const all = await sum.executeTakeFirstOrThrow();
  const kept = (row: typeof own) => ({ count: Number(row.count), bytes: Number(row.bytes ?? 0) });
  return { tenant: kept(own), key: kept(ofKey), bytesOfAll: kept(all).bytes };
}

export async function deleteFiles(database: Kysely<Tables>, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('autoglm_file_chunks').where('file_id', '=', id).execute();
      await transaction.deleteFrom('autoglm_files').where('id', '=', id).execute();
    });
  }
}
