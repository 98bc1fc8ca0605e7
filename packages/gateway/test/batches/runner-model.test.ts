import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchRunner, type RunnerOptions } from '../../src/ingress/batches/batch-runner.ts';
import { BatchStore, type Batch } from '../../src/ingress/batches/store/batch-store.ts';
import { FileStore } from '../../src/ingress/batches/store/file-store.ts';
import { openDatabase, type OpenDatabase } from '../../src/ingress/batches/store/open-database.ts';
import { until } from '../support.ts';
import { jsonl, temporaryFolder, type OutputLine } from './support.ts';

/** What becomes of a line that is asked: its answer, an error, or nothing until it is given up. */
type Fate = 'answer' | 'error' | 'nothing';

type Step =
  | { readonly kind: 'create'; readonly fates: readonly Fate[]; readonly expires: boolean }
  | { readonly kind: 'cancel' | 'delete-input'; readonly batch: number }
  /**
   * A gateway begins; its database fails at one of its calls and from then on (`killed`), or at that one alone. `isDone`: what was asked is
   * done all the same.
   */
  | { readonly kind: 'begin'; readonly failsAt: number | undefined; readonly isKilled: boolean; readonly isDone: boolean }
  | { readonly kind: 'drain' }
  | { readonly kind: 'lapse' }
  | { readonly kind: 'turns'; readonly count: number };

const index = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      fates: fc.array(fc.constantFrom<Fate>('answer', 'answer', 'error', 'nothing'), { minLength: 1, maxLength: 5 }),
      expires: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'delete-input' as const), batch: index }) },
  {
    weight: 3,
    arbitrary: fc
      .record({ kind: fc.constant('begin' as const), failsAt: fc.option(fc.nat(40)), isKilled: fc.boolean(), isDone: fc.boolean() })
      .map(({ failsAt, ...each }) => ({ ...each, failsAt: failsAt ?? undefined })),
  },
  fc.constant({ kind: 'drain' as const }),
  fc.constant({ kind: 'lapse' as const }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 60 }) }) },
);

const tenant = 'a';
const hourMs = 3_600_000;
const bounds = { tenantFilesMax: 1000, tenantBytesMax: 1e9, keyFilesMax: 1000, keyBytesMax: 1e9, bytesMax: 1e9 };

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A store whose calls fail as a gateway's would that is killed, or whose database does not answer once. */
function failing<T extends object>(store: T, fails: () => 'before' | 'after' | undefined): T {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      // What is read in pieces fails at its beginning.
      if (typeof value !== 'function' || name === 'read') return typeof value === 'function' ? value.bind(target) : value;
      return async (...given: unknown[]) => {
        const when = fails();
        if (when === 'before') throw new Error('the database is gone');
        const done = await (value.apply(target, given) as Promise<unknown>);
        if (when === 'after') throw new Error('the database is gone');
        return done;
      };
    },
  });
}

const lines = {
  asker: {
    async run({ body, signal }: { readonly body: unknown; readonly signal: AbortSignal }, use: (asked: never) => Promise<unknown>) {
      const fate = (body as { readonly fate: Fate }).fate;
      if (fate === 'nothing') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      signal.throwIfAborted();
      if (fate === 'error') throw new AutoglmError('invalid_value', 'It was to fail.');
      return use({ requestId: 'r', timings: { promptTokens: 2, completionTokens: 3 } } as never);
    },
  },
  embeddings: { embed: () => Promise.reject(new Error('no embeddings are asked here')) },
  writeAnswer: async () => ({}),
  writeEmbeddings: async () => '',
  writeError: () => '{}',
  wait: async () => {},
  random: () => 0,
} as unknown as RunnerOptions['lines'];

class World {
  readonly batches: {
    readonly id: string;
    readonly fates: readonly Fate[];
    readonly expires: boolean;
    isCancelled: boolean;
    isDeleted: boolean;
  }[] = [];
  readonly store: BatchStore;
  readonly files: FileStore;
  readonly #open: OpenDatabase;
  readonly #runners: BatchRunner[] = [];
  #lapsedMs = 0;
  #fileIds = 0;
  #names = 0;

  constructor(open: OpenDatabase) {
    this.#open = open;
    this.store = new BatchStore(open.database, open.dialect);
    this.files = new FileStore(open.database, open.dialect, this.now);
  }

  readonly now = () => Date.now() + this.#lapsedMs;

  begin(fails: () => 'before' | 'after' | undefined = () => undefined): BatchRunner {
    const { database, dialect } = this.#open;
    const runner = new BatchRunner({
      store: failing(new BatchStore(database, dialect), fails),
      files: failing(new FileStore(database, dialect, this.now), fails),
      lines,
      name: `gateway-${(this.#names += 1)}`,
      concurrency: 2,
      runningMax: 2,
      linesMax: 100,
      lineBytesMax: 4096,
      ttlMs: 24 * 30 * hourMs,
      leaseMs: 100,
      now: this.now,
      newFileId: () => `file-out-${(this.#fileIds += 1)}`,
      onFailure: () => {},
    });
    this.#runners.push(runner);
    runner.look();
    return runner;
  }

  async do(each: Step): Promise<void> {
    if (each.kind === 'turns') return turns(each.count);
    if (each.kind === 'lapse') return void (this.#lapsedMs += hourMs / 60);
    if (each.kind === 'drain') return this.#runners.shift()?.close();
    if (each.kind === 'begin') {
      let calls = 0;
      this.begin(() => {
        calls += 1;
        if (each.failsAt === undefined || calls <= each.failsAt) return undefined;
        if (calls === each.failsAt + 1) return each.isDone ? 'after' : 'before';
        return each.isKilled ? 'before' : undefined;
      });
      return;
    }
    if (each.kind === 'create') return this.#create(each.fates, each.expires);
    const batch = this.batches[each.batch];
    if (!batch) return;
    if (each.kind === 'delete-input') {
      await this.files.delete(tenant, `file-${batch.id}`);
      batch.isDeleted = true;
    } else await this.cancel(batch);
  }

  async cancel(batch: World['batches'][number]): Promise<void> {
    if (await this.store.cancel(tenant, batch.id, this.now())) batch.isCancelled = true;
    for (const runner of this.#runners) runner.cancelled(batch.id);
  }

  async #create(fates: readonly Fate[], expires: boolean): Promise<void> {
    const id = `batch_${this.batches.length}`;
    const writer = await this.files.begin({ id: `file-${id}`, tenant, purpose: 'batch', filename: 'in.jsonl', expires_at_ms: null });
    await writer.write(Buffer.from(jsonl(fates.map((fate, line) => ({ custom_id: `line-${line}`, body: { fate } })))));
    await this.files.keep(writer, tenant, {}, bounds);
    const now = this.now();
    await this.store.create(
      {
        id,
        tenant,
        key_name: null,
        endpoint: '/v1/chat/completions',
        input_file_id: `file-${id}`,
        completion_window: '24h',
        metadata: null,
        output_expires_seconds: null,
        created_at_ms: now,
        expires_at_ms: now + (expires ? 20 : 1000 * hourMs),
      },
      100,
    );
    this.batches.push({ id, fates, expires, isCancelled: false, isDeleted: false });
    for (const runner of this.#runners) runner.look();
  }

  /** What was killed is over, and a gateway that fails at nothing brings all to an end. */
  async settle(): Promise<void> {
    await Promise.all(this.#runners.splice(0).map((runner) => runner.close()));
    this.#lapsedMs += hourMs;
    for (const batch of this.batches) if (batch.fates.includes('nothing') && !batch.expires) await this.cancel(batch);
    const last = this.begin();
    await until(async () => {
      last.look();
      return Object.keys((await this.store.standing()).byStatus).length === 0;
    });
    await last.close();
  }

  async read(fileId: string | null): Promise<OutputLine[]> {
    if (fileId === null) return [];
    const file = await this.files.find(tenant, fileId);
    expect(file, fileId).toBeDefined();
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.files.read(file as { id: string; size_bytes: number })) chunks.push(chunk);
    return Buffer.concat(chunks)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as OutputLine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.close()));
    await this.#open.database.destroy();
  }
}

async function check(world: World): Promise<void> {
  const referenced = new Set<string>();
  for (const { id, fates, expires, isCancelled, isDeleted } of world.batches) {
    const batch = (await world.store.find(tenant, id)) as Batch;
    const [output, errors] = [await world.read(batch.output_file_id), await world.read(batch.error_file_id)];
    for (const fileId of [batch.output_file_id, batch.error_file_id]) if (fileId !== null) referenced.add(fileId);
    const numbers = (found: readonly OutputLine[]) => found.map(({ custom_id: customId }) => Number(customId.slice('line-'.length)));
    const seen = { id, status: batch.status, output: numbers(output), errors: numbers(errors) };
    // Each line is in one of the files once, in the order of the input, and with what became of it.
    for (const found of [seen.output, seen.errors]) expect(found, id).toEqual(found.toSorted((a, b) => a - b));
    if (batch.in_progress_at_ms !== null) expect([...seen.output, ...seen.errors].sort(), id).toEqual([...fates.keys()]);
    expect(new Set([...seen.output, ...seen.errors]).size, id).toBe(seen.output.length + seen.errors.length);
    for (const line of seen.output) expect(fates[line], id).toBe('answer');
    if (batch.status === 'completed') for (const line of seen.errors) expect(fates[line], id).toBe('error');
    expect(
      { total: batch.total, completed: batch.completed, failed: batch.failed, input: batch.input_tokens, output: batch.output_tokens },
      id,
    ).toEqual({
      total: output.length + errors.length,
      completed: output.length,
      failed: errors.length,
      input: 2 * output.length,
      output: 3 * output.length,
    });
    // It ends as it may.
    const allowed = ['completed', ...(isCancelled ? ['cancelled'] : []), ...(expires ? ['expired'] : []), ...(isDeleted ? ['failed'] : [])];
    expect(allowed, JSON.stringify(seen)).toContain(batch.status);
    if (isCancelled) expect(batch.status, id).not.toBe('completed');
    if (batch.status === 'failed') expect([batch.in_progress_at_ms, seen.output, seen.errors], id).toEqual([null, [], []]);
  }
  const shown = await world.files.list({ tenant, purpose: 'batch_output', after: undefined, order: 'asc', limit: 1000 });
  expect(new Set(shown.map(({ id }) => id))).toEqual(referenced);
}

it('whatever gateways are killed, drained or without their database, each batch ends as it may, with each line once', async () => {
  using folder = temporaryFolder();
  let worlds = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      await using world = new World(await openDatabase({ kind: 'sqlite', path: path.join(folder.path, `${(worlds += 1)}.sqlite`) }));
      for (const each of steps) await world.do(each);
      await world.settle();
      await check(world);
    }),
    { numRuns: 30, endOnFailure: true },
  );
});
