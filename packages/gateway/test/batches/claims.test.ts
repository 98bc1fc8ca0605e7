import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { expect, it } from 'vitest';
import { BatchRunner } from '../../src/ingress/batches/batch-runner.ts';
import { BatchStore } from '../../src/ingress/batches/store/batch-store.ts';
import { chunkBytes, FileStore, type NewFile, type StoredFile } from '../../src/ingress/batches/store/file-store.ts';
import { openDatabase } from '../../src/ingress/batches/store/open-database.ts';
import { createGate, until } from '../support.ts';
import { jsonl, temporaryFolder } from './support.ts';

type Run = (call: { readonly signal: AbortSignal }) => Promise<never>;
const waits: Run = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
const unasked = () => Promise.reject(new Error('no line is asked here'));

/** A runner and its stores in a SQLite database of its own; lines fail at once, or wait for good. */
async function openRunner(
  file: string,
  makeFiles: (...stores: ConstructorParameters<typeof FileStore>) => FileStore,
  run: Run = unasked,
  leaseMs = 300,
) {
  const { database, dialect } = await openDatabase({ kind: 'sqlite', path: file });
  const [store, files] = [new BatchStore(database, dialect), makeFiles(database, dialect, Date.now)];
  const failures: unknown[] = [];
  const lines = {
    asker: { run },
    embeddings: { embed: run },
    writeAnswer: unasked,
    writeEmbeddings: unasked,
    writeError: () => '{}',
    wait: async () => {},
    random: () => 0,
  };
  const runner = new BatchRunner({
    store,
    files,
    lines,
    name: randomUUID(),
    concurrency: 2,
    runningMax: 2,
    linesMax: 5000,
    lineBytesMax: 4096,
    ttlMs: 60_000,
    leaseMs,
    now: Date.now,
    newFileId: () => `file-${randomUUID()}`,
    onFailure: (error) => failures.push(error),
  });
  const create = async (count: number, expiresAtMs: number | null = null, windowMs = 86_400_000) => {
    const writer = await files.begin({ id: 'file-in', tenant: 'a', purpose: 'batch', filename: 'in.jsonl', expires_at_ms: expiresAtMs });
    await writer.write(Buffer.from(jsonl(Array.from({ length: count }, (_, index) => ({ custom_id: `line-${index}` })))));
    await files.keep(
      writer,
      'a',
      {},
      { tenantFilesMax: 9, tenantBytesMax: 10_000_000, keyFilesMax: 9, keyBytesMax: 10_000_000, bytesMax: 10_000_000 },
    );
    await store.create(
      {
        id: 'batch_1',
        tenant: 'a',
        key_name: null,
        endpoint: '/v1/chat/completions',
        input_file_id: 'file-in',
        completion_window: '24h',
        metadata: null,
        output_expires_seconds: null,
        created_at_ms: Date.now(),
        expires_at_ms: Date.now() + windowMs,
      },
      9,
    );
  };
  const close = async () => {
    await runner.close();
    await database.destroy();
  };
  return { runner, store, files, failures, create, [Symbol.asyncDispose]: close };
}

it('a gateway that stood still while it read a file leaves the lines to who has taken the batch over', async () => {
  using folder = temporaryFolder();
  const gate = createGate();
  let isReading = false;
  class StillFiles extends FileStore {
    override async *read(file: StoredFile) {
      isReading = true;
      await gate.passed;
      yield* super.read(file);
    }
  }
  await using one = await openRunner(path.join(folder.path, 'a.sqlite'), (...stores) => new StillFiles(...stores));
  await one.create(5);
  one.runner.look();
  await until(() => isReading);
  // Another gateway takes it over, as it would after the lease, and has read the file already.
  const later = Date.now() + 3_600_000;
  expect(await one.store.claim({ by: 'other', untilMs: later + 1 }, later)).toMatchObject({ id: 'batch_1' });
  const lines = Array.from({ length: 5 }, (_, index) => ({ number: index + 1, custom_id: `line-${index}`, request: '{}' }));
  await one.store.addLines('batch_1', 'other', lines);
  expect(await one.store.change('batch_1', 'other', ['validating'], { status: 'in_progress', total: 5 })).toBe(true);
  gate.open();
  await one.runner.close();
  expect(await one.store.openLines('batch_1', 0, 9)).toHaveLength(5);
  expect(await one.store.find('a', 'batch_1')).toMatchObject({ status: 'in_progress', claimed_by: 'other' });
  expect(one.failures).toEqual([]);
});

it('a batch that comes while a look ends is looked for at once', async () => {
  using folder = temporaryFolder();
  // Its timer would come after a minute.
  await using one = await openRunner(path.join(folder.path, 'a.sqlite'), (...stores) => new FileStore(...stores), waits, 180_000);
  const gate = createGate();
  let isAtEnd = false;
  const standing = one.store.standing.bind(one.store);
  one.store.standing = async () => {
    isAtEnd = true;
    await gate.passed;
    return standing();
  };
  one.runner.look();
  await until(() => isAtEnd);
  await one.create(1);
  one.runner.look();
  gate.open();
  await until(async () => (await one.store.find('a', 'batch_1'))?.status === 'in_progress');
});

it.each(['deleted', 'swept'] as const)('a batch whose input is %s while it is read fails, and asks for none of it', async (removal) => {
  using folder = temporaryFolder();
  class VanishingFiles extends FileStore {
    override async *read(file: StoredFile) {
      const reading = super.read(file);
      yield (await reading.next()).value as Uint8Array;
      if (removal === 'deleted') await this.delete('a', file.id);
      else await swept(this);
      yield* reading;
    }
  }
  let passedMs = 0;
  const swept = (files: FileStore) => ((passedMs = 3_600_000), files.sweep(0, 9));
  await using one = await openRunner(
    path.join(folder.path, 'a.sqlite'),
    (database, dialect) => new VanishingFiles(database, dialect, () => Date.now() + passedMs),
  );
  await one.create(2000, Date.now() + 1_800_000);
  expect((await one.files.find('a', 'file-in'))?.size_bytes).toBeGreaterThan(chunkBytes);
  one.runner.look();
  await until(async () => (await one.store.find('a', 'batch_1'))?.ended_at_ms !== null);
  const batch = await one.store.find('a', 'batch_1');
  expect([batch?.status, JSON.parse(batch?.errors ?? 'null')]).toMatchObject([
    'failed',
    { data: [{ code: 'file_not_found', param: 'input_file_id' }] },
  ]);
  expect(await one.store.openLines('batch_1', 0, 9)).toEqual([]);
});

it('a batch that could not be ended when it expired has expired, and every line says so', async () => {
  using folder = temporaryFolder();
  let begun = 0;
  class FailingFiles extends FileStore {
    override async begin(file: NewFile) {
      if (file.purpose !== 'batch_output' || (begun += 1) > 1) return super.begin(file);
      // All are given up by now; a database that says so at once is quicker than any timer.
      one.store.openLines = async () => [];
      throw new Error('the disk is full');
    }
  }
  await using one = await openRunner(path.join(folder.path, 'a.sqlite'), (...stores) => new FailingFiles(...stores), waits);
  await one.create(3, null, 100);
  one.runner.look();
  await until(async () => (await one.store.find('a', 'batch_1'))?.ended_at_ms !== null);
  expect(begun).toBe(2);
  expect(await one.store.find('a', 'batch_1')).toMatchObject({ status: 'expired', completed: 0, failed: 3 });
});

it('a batch that expires before its file is read says so of each of its lines', async () => {
  using folder = temporaryFolder();
  await using one = await openRunner(path.join(folder.path, 'a.sqlite'), (...stores) => new FileStore(...stores));
  await one.create(4000, null, -1);
  one.runner.look();
  await until(async () => (await one.store.find('a', 'batch_1'))?.ended_at_ms !== null);
  expect(await one.store.find('a', 'batch_1')).toMatchObject({ status: 'expired', total: 4000, failed: 4000 });
});

it('a batch whose files cannot be written at first leaves none of the first attempt behind', async () => {
  using folder = temporaryFolder();
  let begun = 0;
  class FailingFiles extends FileStore {
    override async begin(file: NewFile) {
      if (file.purpose === 'batch_output' && (begun += 1) === 2) throw new Error('the disk is full');
      return super.begin(file);
    }
  }
  await using one = await openRunner(path.join(folder.path, 'a.sqlite'), (...stores) => new FailingFiles(...stores), waits);
  await one.create(4);
  one.runner.look();
  await until(async () => (await one.store.find('a', 'batch_1'))?.status === 'in_progress');
  // One is answered, so that there are two files; the others are given up.
  await one.store.answerLine('batch_1', 1, { outcome: 'completed', result: '{}', input_tokens: 0, output_tokens: 0 });
  await one.store.cancel('a', 'batch_1', Date.now());
  one.runner.cancelled('batch_1');
  await until(async () => (await one.store.find('a', 'batch_1'))?.status === 'cancelled');
  const kept = await one.files.list({ tenant: 'a', purpose: 'batch_output', after: undefined, order: 'asc', limit: 9 });
  expect(kept).toHaveLength(2);
  expect((await one.files.usage('a')).tenant.count).toBe(3);
  expect(one.failures).toHaveLength(1);
  expect(one.runner.read()).toMatchObject({ lines: { completed: 0, failed: 3 }, ended: { cancelled: 1 } });
});
