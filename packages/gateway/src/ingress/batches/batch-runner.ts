import { AutoglmError } from '@open-autoglm/protocol';
import { askLine, type LineParts } from './ask-line.ts';
import { endpoints, LineReader, unansweredLine, type Endpoint } from './batch-lines.ts';
import { findFile } from './file-routes.ts';
import { Places } from './places.ts';
import { ClaimLost, type Batch, type BatchStore, type NewLine, type OpenLine, type Standing } from './store/batch-store.ts';
import type { FileStore, FileWriter } from './store/file-store.ts';

export interface RunnerOptions {
  readonly store: BatchStore;
  readonly files: FileStore;
  readonly lines: LineParts;
  /** This gateway, among those that share the database. */
  readonly name: string;
  readonly concurrency: number;
  readonly runningMax: number;
  readonly linesMax: number;
  readonly lineBytesMax: number;
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly now: () => number;
  readonly newFileId: () => string;
  /** Told what kept a batch or the database from going on; it is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/** Why a batch's work stops before its end: each has another end. */
type Stop = 'expired' | 'cancelled' | 'lost' | 'closed';

class Stopped extends Error {
  readonly why: Stop;

  constructor(why: Stop) {
    super(`The batch stops: ${why}.`);
    this.why = why;
  }
}

/** What this gateway has done with batches, and what there is to do for all who share the database, as it last saw it. */
export interface BatchReading {
  readonly lines: Readonly<Record<'completed' | 'failed', number>>;
  readonly ended: Readonly<Record<Ended, number>>;
  readonly open: Standing['byStatus'];
  /** The age of the oldest batch that has not ended; 0 where there is none. */
  readonly lagMs: number;
}

type Ended = 'completed' | 'failed' | 'expired' | 'cancelled';

/** Before the database is there. */
export const noReading: BatchReading = {
  lines: { completed: 0, failed: 0 },
  ended: { completed: 0, failed: 0, expired: 0, cancelled: 0 },
  open: {},
  lagMs: 0,
};

/** Undefined while it goes on. */
function whyOf({ reason }: AbortSignal): Stop | undefined {
  return (reason as Stopped | undefined)?.why;
}

function isClosing(thrown: unknown): boolean {
  return thrown instanceof Stopped ? thrown.why === 'closed' : thrown instanceof AutoglmError && thrown.code === 'draining';
}

const pageLines = 32;
const sweepMs = 60_000;
const sweepMax = 100;
/** An upload whose writer says nothing for so long was cut off. */
const abandonedMs = 3_600_000;

/**
 * Works on batches: claims one, reads its lines, has each answered, writes the files. Everything is in the database before it counts,
 * so that a gateway that is killed has lost nothing but the answers it was waiting for; whoever claims the batch then asks for these
 * again.
 */
export class BatchRunner {
  readonly #options: RunnerOptions;
  readonly #places: Places;
  readonly #running = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** Asked to look while it was looking: it may have been past what there is now. */
  #isAskedAgain = false;
  #sweptAtMs = -Infinity;
  #isClosed = false;
  #standing: Standing = { byStatus: {}, oldestCreatedAtMs: undefined };
  readonly #lines = { ...noReading.lines };
  readonly #ended = { ...noReading.ended };

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#places = new Places(options.concurrency);
  }

  read(): BatchReading {
    const { byStatus, oldestCreatedAtMs } = this.#standing;
    return {
      lines: this.#lines,
      ended: this.#ended,
      open: byStatus,
      lagMs: oldestCreatedAtMs === undefined ? 0 : Math.max(0, this.#options.now() - oldestCreatedAtMs),
    };
  }

  /** Looks for work now, and again a third of a lease later. */
  look(): void {
    if (this.#isClosed) return;
    if (this.#looking) {
      this.#isAskedAgain = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#isAskedAgain = false;
    this.#looking = this.#find()
      .catch(this.#options.onFailure)
      .finally(() => {
        this.#looking = undefined;
        if (this.#isAskedAgain) this.look();
        else if (!this.#isClosed) this.#timer = setTimeout(() => this.look(), this.#options.leaseMs / 3).unref();
      });
  }

  /** A batch was cancelled here: what is asked for it is let go of now, and not when the claim is renewed. */
  cancelled(id: string): void {
    this.#running.get(id)?.stop.abort(new Stopped('cancelled'));
  }

  /** Begins no line any more; what is under way may end. */
  pause(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#places.close(new Stopped('closed'));
  }

  /** Gives up what is under way; another gateway may have the batches at once. */
  async close(): Promise<void> {
    this.pause();
    await this.#looking;
    for (const { stop } of this.#running.values()) stop.abort(new Stopped('closed'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #find(): Promise<void> {
    const { store, name, leaseMs, runningMax, now } = this.#options;
    while (!this.#isClosed && this.#running.size < runningMax) {
      const batch = await store.claim({ by: name, untilMs: now() + leaseMs }, now());
      if (!batch) break;
      // Its claim ran out while this gateway stood still; it has been renewed now.
      if (this.#running.has(batch.id)) continue;
      this.#start(batch);
    }
    this.#standing = await store.standing();
    if (now() - this.#sweptAtMs >= sweepMs) await this.#sweep();
  }

  async #sweep(): Promise<void> {
    const { store, files, ttlMs, now } = this.#options;
    this.#sweptAtMs = now();
    await files.sweep(now() - abandonedMs, sweepMax);
    await store.sweep(now() - ttlMs, sweepMax);
  }

  #start(batch: Batch): void {
    const stop = new AbortController();
    const done = this.#work(batch, stop)
      .catch(this.#options.onFailure)
      .finally(() => {
        this.#running.delete(batch.id);
        this.look();
      });
    this.#running.set(batch.id, { stop, done });
  }

  async #work(batch: Batch, stop: AbortController): Promise<void> {
    const { store, name, leaseMs, now } = this.#options;
    const renew = setInterval(() => void this.#renew(batch, stop), leaseMs / 3);
    const expire = setTimeout(() => stop.abort(new Stopped('expired')), Math.min(2 ** 31 - 1, Math.max(0, batch.expires_at_ms - now())));
    try {
      const ended = await this.#answer(batch, stop.signal).catch((thrown: unknown) => {
        if (thrown instanceof Stopped && (thrown.why === 'expired' || thrown.why === 'cancelled')) return thrown.why;
        throw thrown;
      });
      if (ended !== 'failed') await this.#finish(batch, ended, stop.signal);
    } catch (thrown) {
      // Whoever has it now does the rest.
      if (thrown instanceof ClaimLost || (thrown instanceof Stopped && thrown.why === 'lost')) return;
      // What went wrong may go wrong again: the claim runs out by itself, and so it is tried again, but not at once.
      // Another gateway that drains says the same as this one.
      if (!isClosing(thrown) || !this.#isClosed) throw thrown;
      await store.release(batch.id, name).catch(this.#options.onFailure);
    } finally {
      clearInterval(renew);
      clearTimeout(expire);
    }
  }

  async #renew({ id }: Batch, stop: AbortController): Promise<void> {
    const { store, name, leaseMs, now, onFailure } = this.#options;
    try {
      const status = await store.renew(id, { by: name, untilMs: now() + leaseMs });
      if (status === undefined) stop.abort(new Stopped('lost'));
      else if (status === 'cancelling') stop.abort(new Stopped('cancelled'));
    } catch (error) {
      onFailure(error);
    }
  }

  /** From whatever state it was left in. */
  async #answer(batch: Batch, signal: AbortSignal): Promise<Ended> {
    const { store, name, now } = this.#options;
    if (batch.status === 'cancelling') return 'cancelled';
    if (batch.status === 'validating' && !(await this.#read(batch, signal))) return 'failed';
    if (batch.status !== 'finalizing') {
      // Lines may have been given up for it already, by who could not end it then.
      if (now() >= batch.expires_at_ms) return 'expired';
      await this.#askAll(batch, signal);
    }
    if (!(await store.change(batch.id, name, ['in_progress', 'finalizing'], { status: 'finalizing', finalizing_at_ms: now() })))
      return this.#cancelledOrLost(batch.id);
    return 'completed';
  }

  /** Why a change was not taken. Rejects with `ClaimLost`: what another has must not be ended for it. */
  async #cancelledOrLost(id: string): Promise<'cancelled'> {
    const { store, name, leaseMs, now } = this.#options;
    if ((await store.renew(id, { by: name, untilMs: now() + leaseMs })) === 'cancelling') return 'cancelled';
    throw new ClaimLost(id);
  }

  /** The lines of the input file; false: it was no file of requests, and the batch has failed of it. */
  async #read({ id, tenant, endpoint, input_file_id: fileId }: Batch, signal: AbortSignal): Promise<boolean> {
    const { store, files, name, now, linesMax, lineBytesMax } = this.#options;
    const reader = new LineReader(endpoint as Endpoint, { linesMax, lineBytesMax });
    await store.clearLines(id, name);
    let last: NewLine[] = [];
    try {
      for await (const bytes of files.read(await findFile(files, tenant, fileId))) {
        // One that has expired is read all the same: its error file has every line.
        if (whyOf(signal) !== 'expired') signal.throwIfAborted();
        const lines = reader.push(bytes);
        if (reader.errors.length === 0) await store.addLines(id, name, lines);
        if (reader.isFull) break;
      }
      last = reader.end();
    } catch (thrown) {
      if (!(thrown instanceof AutoglmError && thrown.code === 'file_not_found')) throw thrown;
      reader.errors.push({ code: thrown.code, line: null, message: thrown.message, param: 'input_file_id' });
    }
    if (reader.errors.length === 0) {
      await store.addLines(id, name, last);
      const isOurs = await store.change(id, name, ['validating'], { status: 'in_progress', in_progress_at_ms: now(), total: reader.count });
      if (!isOurs) throw new Stopped(await this.#cancelledOrLost(id));
      return true;
    }
    await store.clearLines(id, name);
    const isOurs = await store.change(id, name, ['validating'], {
      status: 'failed',
      ended_at_ms: now(),
      errors: JSON.stringify({ object: 'list', data: reader.errors }),
    });
    if (!isOurs) throw new Stopped(await this.#cancelledOrLost(id));
    this.#ended.failed += 1;
    return false;
  }

  /** As many lines at once as there are places; each takes the next one that is open. */
  async #askAll(batch: Batch, signal: AbortSignal): Promise<void> {
    const { store, concurrency } = this.#options;
    const failed = new AbortController();
    const until = AbortSignal.any([signal, failed.signal]);
    const lines = new OpenLines(store, batch.id);
    const worker = async () => {
      for (let line = await lines.next(); line; line = await lines.next()) {
        until.throwIfAborted();
        await this.#askOne(batch, line, until);
      }
    };
    const workers = Array.from({ length: concurrency }, () =>
      worker().catch((error: unknown) => {
        // Where nothing is begun any more, what is under way may still end.
        if (!isClosing(error)) failed.abort(error);
        throw error;
      }),
    );
    const first = (await Promise.allSettled(workers)).find((settled) => settled.status === 'rejected');
    signal.throwIfAborted();
    failed.signal.throwIfAborted();
    if (first) throw first.reason;
  }

  async #askOne({ id, tenant, key_name: key, endpoint }: Batch, line: OpenLine, signal: AbortSignal): Promise<void> {
    const { store, lines } = this.#options;
    const result = await askLine(lines, {
      api: endpoints[endpoint as Endpoint],
      line,
      caller: { key: key ?? undefined, tenant },
      hold: this.#places.hold,
      signal,
    });
    if (await store.answerLine(id, line.number, result)) this.#lines[result.outcome] += 1;
  }

  /**
   * What is not answered says why, in the error file; then both files, and the end, in this order. The files are there when the batch
   * has ended, and not before: whoever has to begin with them again finds none of an earlier attempt.
   */
  async #finish(batch: Batch, ended: Exclude<Ended, 'failed'>, signal: AbortSignal): Promise<void> {
    const { store, name, now } = this.#options;
    if (ended !== 'completed') await this.#giveUp(batch.id, ended);
    const written: WrittenFile[] = [];
    const discard = async () => {
      for (const { writer } of written) await writer?.discard();
    };
    try {
      for (const outcome of ['completed', 'failed'] as const) written.push(await this.#write(batch, outcome, signal));
    } catch (error) {
      await discard();
      throw error;
    }
    const [output, errors] = written as [WrittenFile, WrittenFile];
    // Where this rejects it may have been done all the same, and the files with it: those that were not are swept.
    const isOurs = await store.end(
      batch.id,
      name,
      ['validating', 'in_progress', 'finalizing', 'cancelling'],
      {
        status: ended,
        ended_at_ms: now(),
        output_file_id: output.writer?.id ?? null,
        error_file_id: errors.writer?.id ?? null,
        total: output.count + errors.count,
        completed: output.count,
        failed: errors.count,
        input_tokens: output.inputTokens,
        output_tokens: output.outputTokens,
      },
      written.flatMap(({ writer }) => (writer ? [writer.id] : [])),
    );
    if (!isOurs) return discard();
    this.#ended[ended] += 1;
    await store.deleteLines(batch.id);
  }

  async #giveUp(id: string, ended: 'expired' | 'cancelled'): Promise<void> {
    const { store, name } = this.#options;
    for (let page = await store.openLines(id, 0, pageLines); page.length > 0; page = await store.openLines(id, 0, pageLines)) {
      await store.failLines(
        id,
        name,
        page.map(({ number, custom_id: customId }) => ({
          number,
          result: unansweredLine(`batch_req_${id.slice('batch_'.length)}_${number}`, customId, `batch_${ended}`),
        })),
      );
      this.#lines.failed += page.length;
    }
  }

  /** In the order of the input. Without lines there is no file. */
  async #write(
    { id, tenant, output_expires_seconds: expiresSeconds }: Batch,
    outcome: 'completed' | 'failed',
    signal: AbortSignal,
  ): Promise<WrittenFile> {
    const { store, files, newFileId, now, ttlMs } = this.#options;
    let page = await store.answeredLines(id, outcome, 0, pageLines);
    const sums = { count: 0, inputTokens: 0, outputTokens: 0 };
    if (page.length === 0) return { writer: undefined, ...sums };
    const expiresAtMs = now() + (expiresSeconds === null ? ttlMs : expiresSeconds * 1000);
    const writer = await files.begin({
      id: newFileId(),
      tenant,
      purpose: 'batch_output',
      filename: `${id}_${outcome === 'completed' ? 'output' : 'error'}.jsonl`,
      expires_at_ms: expiresAtMs,
      batch_id: id,
    });
    try {
      while (page.length > 0) {
        for (const line of page) {
          await writer.write(Buffer.from(`${line.result}\n`));
          sums.count += 1;
          sums.inputTokens += line.input_tokens;
          sums.outputTokens += line.output_tokens;
        }
        if (whyOf(signal) === 'closed') throw signal.reason;
        page = await store.answeredLines(id, outcome, page.at(-1)?.number ?? 0, pageLines);
      }
      await writer.flush();
    } catch (error) {
      await writer.discard();
      throw error;
    }
    return { writer, ...sums };
  }
}

/** All of its bytes are in the database; it is not there for others yet. */
interface WrittenFile {
  readonly writer: FileWriter | undefined;
  readonly count: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** The open lines of a batch one after another, for several who take them; a page of them is in memory. */
class OpenLines {
  readonly #store: BatchStore;
  readonly #batchId: string;
  #page: OpenLine[] = [];
  #after = 0;
  #isOver = false;
  #reading: Promise<void> | undefined;

  constructor(store: BatchStore, batchId: string) {
    this.#store = store;
    this.#batchId = batchId;
  }

  async next(): Promise<OpenLine | undefined> {
    while (this.#page.length === 0 && !this.#isOver) await (this.#reading ??= this.#read().finally(() => (this.#reading = undefined)));
    return this.#page.shift();
  }

  async #read(): Promise<void> {
    this.#page = await this.#store.openLines(this.#batchId, this.#after, pageLines);
    this.#after = this.#page.at(-1)?.number ?? this.#after;
    this.#isOver = this.#page.length === 0;
  }
}
