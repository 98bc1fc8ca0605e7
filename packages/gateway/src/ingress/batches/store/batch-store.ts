import { sql, type Expression, type Kysely, type Transaction } from 'kysely';
import { isOfKeyOf, isText, lockAll, type BatchesTable, type BatchStatus, type Dialect, type LinesTable, type Tables } from './schema.ts';

export type Batch = BatchesTable;
export type NewBatch = Pick<
  Batch,
  | 'id'
  | 'tenant'
  | 'key_name'
  | 'endpoint'
  | 'input_file_id'
  | 'completion_window'
  | 'metadata'
  | 'output_expires_seconds'
  | 'created_at_ms'
  | 'expires_at_ms'
>;
export type NewLine = Pick<LinesTable, 'number' | 'custom_id'> & { readonly request: string };
/** A line that waits for its answer. */
export type OpenLine = NewLine;

export interface LineResult extends Pick<LinesTable, 'result' | 'input_tokens' | 'output_tokens'> {
  readonly outcome: NonNullable<LinesTable['outcome']>;
}

export interface Counts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

export interface BatchListing {
  readonly tenant: string;
  readonly after: string | undefined;
  readonly limit: number;
}

/** A gateway's word that it works on a batch. */
export interface Claim {
  readonly by: string;
  readonly untilMs: number;
}

/** What is to be kept was not: another gateway has the batch now. */
export class ClaimLost extends Error {
  constructor(id: string) {
    super(`The batch ${id} is another gateway's now.`);
  }
}

/** Batches that have not ended, as they are at one moment. */
export interface Standing {
  readonly byStatus: Readonly<Partial<Record<BatchStatus, number>>>;
  readonly oldestCreatedAtMs: number | undefined;
}

/** Those that somebody has to work on. */
const open: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing', 'cancelling'];
/** Rows of one statement: SQLite bounds its parameters. */
const rowsPerInsert = 100;

/** Bytes of one page of lines: an answer may have tens of MiB, and each batch that is worked on has a page in memory. */
const pageBytesMax = 2 * 1024 * 1024;

/** Batches and their lines. Whoever works on a batch has claimed it; what it writes says so, and is not written when another has it now. */
export class BatchStore {
  readonly #database: Kysely<Tables>;
  readonly #dialect: Dialect;

  constructor(database: Kysely<Tables>, dialect: Dialect) {
    this.#database = database;
    this.#dialect = dialect;
  }

  /**
   * Undefined where the tenant, or its key, has so many already that have not ended; of several that come at the same time no more are
   * taken than may be.
   */
  async create(batch: NewBatch, openMax: number, openOfKeyMax = Infinity): Promise<Batch | undefined> {
    const row: Batch = {
      ...batch,
      status: 'validating',
      in_progress_at_ms: null,
      finalizing_at_ms: null,
      cancelling_at_ms: null,
      ended_at_ms: null,
      output_file_id: null,
      error_file_id: null,
      errors: null,
      total: 0,
      completed: 0,
      failed: 0,
      input_tokens: 0,
      output_tokens: 0,
      claimed_by: null,
      claimed_until_ms: 0,
    };
    return this.#database.transaction().execute(async (transaction) => {
      await lockAll(transaction, this.#dialect);
      const begun = transaction
        .selectFrom('autoglm_batches')
        .where('status', 'in', open)
        .select(({ fn }) => fn.countAll<number>().as('count'));
      const ofTenant = await begun.where('tenant', '=', batch.tenant).executeTakeFirstOrThrow();
      const ofKey = await begun.where(isOfKeyOf(batch.tenant)).executeTakeFirstOrThrow();
      if (Number(ofTenant.count) >= openMax || Number(ofKey.count) >= openOfKeyMax) return undefined;
      await transaction.insertInto('autoglm_batches').values(row).execute();
      return row;
    });
  }

  async find(tenant: string, id: string): Promise<Batch | undefined> {
    if (!isText(id)) return undefined;
    return this.#database.selectFrom('autoglm_batches').selectAll().where('tenant', '=', tenant).where('id', '=', id).executeTakeFirst();
  }

  /** Newest first. */
  async list({ tenant, after, limit }: BatchListing): Promise<Batch[]> {
    const from = after === undefined ? undefined : await this.find(tenant, after);
    if (after !== undefined && !from) return [];
    let query = this.#database
      .selectFrom('autoglm_batches')
      .selectAll()
      .where('tenant', '=', tenant)
      .orderBy('created_at_ms', 'desc')
      .orderBy('id', 'desc')
      .limit(limit);
    if (from)
      query = query.where(({ eb, and, or }) =>
        or([eb('created_at_ms', '<', from.created_at_ms), and([eb('created_at_ms', '=', from.created_at_ms), eb('id', '<', from.id)])]),
      );
    return query.execute();
  }

  /** What became of the lines so far. */
  async counts({ id, total, completed, failed, ended_at_ms: endedAtMs }: Batch): Promise<Counts> {
    if (endedAtMs !== null) return { total, completed, failed };
    const rows = await this.#database
      .selectFrom('autoglm_batch_lines')
      .where('batch_id', '=', id)
      .where('outcome', 'is not', null)
      .groupBy('outcome')
      .select(({ fn }) => ['outcome', fn.countAll<number>().as('count')])
      .execute();
    const of = (outcome: string) => Number(rows.find((row) => row.outcome === outcome)?.count ?? 0);
    return { total, completed: of('completed'), failed: of('failed') };
  }

  /** The oldest one that nobody works on, for this gateway. */
  async claim({ by, untilMs }: Claim, nowMs: number): Promise<Batch | undefined> {
    const free = await this.#database
      .selectFrom('autoglm_batches')
      .select('id')
      .where('status', 'in', open)
      .where('claimed_until_ms', '<', nowMs)
      .orderBy('created_at_ms')
      .orderBy('id')
      .limit(8)
      .execute();
    for (const { id } of free) {
      const taken = await this.#database
        .updateTable('autoglm_batches')
        .set({ claimed_by: by, claimed_until_ms: untilMs })
        .where('id', '=', id)
        .where('status', 'in', open)
        .where('claimed_until_ms', '<', nowMs)
        .executeTakeFirst();
      if (taken.numUpdatedRows === 1n)
        return this.#database.selectFrom('autoglm_batches').selectAll().where('id', '=', id).executeTakeFirst();
    }
    return undefined;
  }

  /** Keeps the claim, and tells what the batch has become; undefined: another has it, or it is gone. */
  async renew(id: string, { by, untilMs }: Claim): Promise<BatchStatus | undefined> {
    const kept = await this.#owned(id, by).set({ claimed_until_ms: untilMs }).executeTakeFirst();
    if (kept.numUpdatedRows !== 1n) return undefined;
    return (await this.#database.selectFrom('autoglm_batches').select('status').where('id', '=', id).executeTakeFirst())?.status;
  }

  /** Another may have it at once. */
  async release(id: string, by: string): Promise<void> {
    await this.#owned(id, by).set({ claimed_by: null, claimed_until_ms: 0 }).execute();
  }

  /** Whether this gateway still has it, and it was in one of these states. */
  async change(id: string, by: string, from: readonly BatchStatus[], changes: Partial<Batch>): Promise<boolean> {
    const changed = await this.#owned(id, by).where('status', 'in', from).set(changes).executeTakeFirst();
    return changed.numUpdatedRows === 1n;
  }

  /** Whether there was anything left to cancel. */
  async cancel(tenant: string, id: string, nowMs: number): Promise<boolean> {
    const changed = await this.#database
      .updateTable('autoglm_batches')
      .set({ status: 'cancelling', cancelling_at_ms: nowMs })
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .where('status', 'in', ['validating', 'in_progress'])
      .executeTakeFirst();
    return changed.numUpdatedRows === 1n;
  }

  /**
   * The batch has ended, and its files are there, at once. Whether this gateway still had it; if not, nothing has changed. Rejects, and
   * changes nothing, where a file is gone: one that took too long to write is swept.
   */
  async end(id: string, by: string, from: readonly BatchStatus[], changes: Partial<Batch>, fileIds: readonly string[]): Promise<boolean> {
    return this.#database.transaction().execute(async (transaction) => {
      const changed = await transaction
        .updateTable('autoglm_batches')
        .where('id', '=', id)
        .where('claimed_by', '=', by)
        .where('status', 'in', from)
        .set(changes)
        .executeTakeFirst();
      if (changed.numUpdatedRows !== 1n) return false;
      if (fileIds.length === 0) return true;
      const shown = await transaction.updateTable('autoglm_files').set({ is_complete: 1 }).where('id', 'in', fileIds).executeTakeFirst();
      if (shown.numUpdatedRows !== BigInt(fileIds.length)) throw new Error(`A file of the batch ${id} is gone; it took too long to write.`);
      return true;
    });
  }

  async standing(): Promise<Standing> {
    const rows = await this.#database
      .selectFrom('autoglm_batches')
      .where('status', 'in', open)
      .groupBy('status')
      .select(({ fn }) => ['status', fn.countAll<number>().as('count'), fn.min('created_at_ms').as('oldest')])
      .execute();
    const oldest = rows.map((row) => Number(row.oldest));
    return {
      byStatus: Object.fromEntries(rows.map(({ status, count }) => [status, Number(count)])),
      oldestCreatedAtMs: oldest.length > 0 ? Math.min(...oldest) : undefined,
    };
  }

  /** Rejects with `ClaimLost`, as do the next two. */
  async addLines(batchId: string, by: string, lines: readonly NewLine[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#asOwner(batchId, by, async (transaction) => {
      for (let start = 0; start < lines.length; start += rowsPerInsert) {
        const rows = lines
          .slice(start, start + rowsPerInsert)
          .map((line) => ({ ...line, batch_id: batchId, outcome: null, result: null, input_tokens: 0, output_tokens: 0 }));
        await transaction.insertInto('autoglm_batch_lines').values(rows).execute();
      }
    });
  }

  /** For a gateway that begins to read the file, or has found that it is no file of requests. */
  async clearLines(batchId: string, by: string): Promise<void> {
    await this.#asOwner(
      batchId,
      by,
      async (transaction) => void (await transaction.deleteFrom('autoglm_batch_lines').where('batch_id', '=', batchId).execute()),
    );
  }

  /** Lines that will not be asked any more. */
  async failLines(batchId: string, by: string, lines: readonly { readonly number: number; readonly result: string }[]): Promise<void> {
    await this.#asOwner(batchId, by, async (transaction) => {
      for (const { number, result } of lines)
        await answered(transaction, batchId, number, { outcome: 'failed', result, input_tokens: 0, output_tokens: 0 }).execute();
    });
  }

  /** Of a batch that has ended. */
  async deleteLines(batchId: string): Promise<void> {
    await this.#database.deleteFrom('autoglm_batch_lines').where('batch_id', '=', batchId).execute();
  }

  /** Lines without an answer, after this one: no more than `limit`, and as many as fit into a page. */
  async openLines(batchId: string, after: number, limit: number): Promise<OpenLine[]> {
    const of = this.#database
      .selectFrom('autoglm_batch_lines')
      .where('batch_id', '=', batchId)
      .where('outcome', 'is', null)
      .where('number', '>', after)
      .orderBy('number')
      .limit(limit);
    return (await of
      .where('number', '<=', lastOfPage(of.select(['number', bytesUpTo('request')])))
      .select(['number', 'custom_id', 'request'])
      .execute()) as OpenLine[];
  }

  /** Keeps the answer of a line, unless it has one: the first that is written stays. */
  async answerLine(batchId: string, number: number, result: LineResult): Promise<boolean> {
    const written = await answered(this.#database, batchId, number, result).executeTakeFirst();
    return written.numUpdatedRows === 1n;
  }

  /** By pages, as `openLines`. */
  async answeredLines(
    batchId: string,
    outcome: LineResult['outcome'],
    after: number,
    limit: number,
  ): Promise<Pick<LinesTable, 'number' | 'result' | 'input_tokens' | 'output_tokens'>[]> {
    const of = this.#database
      .selectFrom('autoglm_batch_lines')
      .where('batch_id', '=', batchId)
      .where('outcome', '=', outcome)
      .where('number', '>', after)
      .orderBy('number')
      .limit(limit);
    return of
      .where('number', '<=', lastOfPage(of.select(['number', bytesUpTo('result')])))
      .select(['number', 'result', 'input_tokens', 'output_tokens'])
      .execute();
  }

  /**
   * Ended ones that are older than this, with their lines, and lines of others that whoever ended them was cut off before it had deleted.
   * At most so many at once.
   */
  async sweep(endedBeforeMs: number, max: number): Promise<number> {
    const left = await this.#database
      .selectFrom('autoglm_batches')
      .select('id')
      .where('ended_at_ms', 'is not', null)
      .where(({ exists, selectFrom }) =>
        exists(selectFrom('autoglm_batch_lines').select('number').whereRef('batch_id', '=', 'autoglm_batches.id')),
      )
      .limit(max)
      .execute();
    for (const { id } of left) await this.deleteLines(id);
    const old = await this.#database
      .selectFrom('autoglm_batches')
      .select('id')
      .where('ended_at_ms', '<', endedBeforeMs)
      .limit(max)
      .execute();
    for (const { id } of old) {
      await this.deleteLines(id);
      await this.#database.deleteFrom('autoglm_batches').where('id', '=', id).execute();
    }
    return old.length;
  }

  /** The row is locked until the end of it, so that nobody takes the batch over in the middle. */
  async #asOwner(id: string, by: string, work: (transaction: Transaction<Tables>) => Promise<void>): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      const owned = await transaction
        .updateTable('autoglm_batches')
        .where('id', '=', id)
        .where('claimed_by', '=', by)
        .set({ claimed_by: by })
        .executeTakeFirst();
      if (owned.numUpdatedRows !== 1n) throw new ClaimLost(id);
      await work(transaction);
    });
  }

  #owned(id: string, by: string) {
    return this.#database.updateTable('autoglm_batches').where('id', '=', id).where('claimed_by', '=', by);
  }
}

function answered(database: Kysely<Tables>, batchId: string, number: number, { outcome, result, input_tokens, output_tokens }: LineResult) {
  return database
    .updateTable('autoglm_batch_lines')
    .set({ outcome, result, input_tokens, output_tokens, request: null })
    .where('batch_id', '=', batchId)
    .where('number', '=', number)
    .where('outcome', 'is', null);
}

/** Of the lines up to this one, in the order of the selection; both databases know a text's size without reading it. */
function bytesUpTo(column: 'request' | 'result') {
  return sql<number>`sum(octet_length(${sql.ref(column)})) over (order by number)`.as('bytes');
}

/**
 * The first line is on its page, however large it is. In the statement that reads the page: another gateway may answer lines at any time.
 */
function lastOfPage(lines: Expression<{ readonly number: number; readonly bytes: number }>) {
  return sql<number>`(select coalesce(max(number) filter (where bytes <= ${sql.lit(pageBytesMax)}), min(number)) from (${lines}) as lines)`;
}
