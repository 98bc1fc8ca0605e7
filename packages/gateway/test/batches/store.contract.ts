import { describe, expect, it } from 'vitest';
import { BatchStore, ClaimLost, type Batch, type NewBatch } from '../../src/ingress/batches/store/batch-store.ts';
import { chunkBytes, FileStore, type StoredFile } from '../../src/ingress/batches/store/file-store.ts';
import { openDatabase, type DatabasePlace } from '../../src/ingress/batches/store/open-database.ts';

/** What every database of files and batches does. `place` gives one that nobody has used yet. */
export function storeContract(name: string, place: () => Promise<DatabasePlace>): void {
  const open = async (at: DatabasePlace, now = () => 1_000_000) => {
    const { database, dialect } = await openDatabase(at);
    return { files: new FileStore(database, dialect, now), batches: new BatchStore(database, dialect), close: () => database.destroy() };
  };
  const newBatch = (id: string, changes: Partial<NewBatch> = {}): NewBatch => ({
    id,
    tenant: 'a',
    key_name: null,
    endpoint: '/v1/completions',
    input_file_id: 'file-1',
    completion_window: '24h',
    metadata: null,
    output_expires_seconds: null,
    created_at_ms: 1,
    expires_at_ms: 2,
    ...changes,
  });
  const write = async (
    files: FileStore,
    id: string,
    content: Uint8Array,
    changes: { tenant?: string; purpose?: string; expires_at_ms?: number | null } = {},
  ) => {
    const writer = await files.begin({ id, tenant: 'a', purpose: 'batch', filename: `${id}.jsonl`, expires_at_ms: null, ...changes });
    for (let start = 0; start < content.length; start += 100_000) await writer.write(content.subarray(start, start + 100_000));
    return writer;
  };
  const unbounded = { tenantFilesMax: 99, tenantBytesMax: 10_000_000, keyFilesMax: 99, keyBytesMax: 10_000_000, bytesMax: 10_000_000 };
  const keep = async (
    files: FileStore,
    id: string,
    content = Buffer.from('x'),
    { tenant = 'a', ...changes }: Parameters<typeof write>[3] = {},
  ) => expect(await files.keep(await write(files, id, content, { tenant, ...changes }), tenant, {}, unbounded)).toBeUndefined();
  const read = async (files: FileStore, id: string) => {
    const chunks: Uint8Array[] = [];
    for await (const bytes of files.read((await files.find('a', id)) as StoredFile)) chunks.push(bytes);
    return Buffer.concat(chunks);
  };

  describe(`files and batches: ${name}`, () => {
    it('keeps every byte of a file, and shows it when it is complete, to its tenant', async () => {
      const { files, close } = await open(await place());
      const content = Buffer.from(Array.from({ length: chunkBytes * 2 + 12_345 }, (_, index) => (index * 7 + (index >> 8)) % 256));
      const writer = await write(files, 'file-1', content);
      expect(await files.find('a', 'file-1')).toBeUndefined();
      expect(await files.keep(writer, 'a', {}, unbounded)).toBeUndefined();
      expect(await files.find('a', 'file-1')).toEqual({
        id: 'file-1',
        purpose: 'batch',
        filename: 'file-1.jsonl',
        size_bytes: content.length,
        created_at_ms: 1_000_000,
        expires_at_ms: null,
      });
      expect(await files.find('b', 'file-1')).toBeUndefined();
      expect((await read(files, 'file-1')).equals(content)).toBe(true);
      expect(await files.usage('a')).toEqual({
        tenant: { count: 1, bytes: content.length },
        key: { count: 1, bytes: content.length },
        bytesOfAll: content.length,
      });
      expect(await files.delete('b', 'file-1')).toBe(false);
      expect(await files.delete('a', 'file-1')).toBe(true);
      expect([await files.find('a', 'file-1'), await files.usage('a')]).toEqual([
        undefined,
        { tenant: { count: 0, bytes: 0 }, key: { count: 0, bytes: 0 }, bytesOfAll: 0 },
      ]);
      await close();
    });

    it('takes the one character that not every database can keep for what it is: no part of a name', async () => {
      const { files, batches, close } = await open(await place());
      const list = { tenant: 'a', limit: 9 } as const;
      expect([await files.find('a', 'a\0'), await batches.find('a', 'a\0'), await batches.list({ ...list, after: '\0' })]).toEqual([
        undefined,
        undefined,
        [],
      ]);
      expect([
        await files.list({ ...list, order: 'asc', purpose: undefined, after: '\0' }),
        await files.list({ ...list, order: 'asc', purpose: '\0', after: undefined }),
      ]).toEqual([[], []]);
      expect(
        await files.keep(
          await files.begin({ id: 'file-1', tenant: 'a', purpose: 'batch', filename: 'a\0b.jsonl', expires_at_ms: null }),
          'a',
          {},
          unbounded,
        ),
      ).toBeUndefined();
      expect((await files.find('a', 'file-1'))?.filename).toBe('ab.jsonl');
      await close();
    });

    it('takes no file for whole that is deleted or swept while it is read', async () => {
      let nowMs = 1000;
      const { files, close } = await open(await place(), () => nowMs);
      const content = Buffer.alloc(chunkBytes * 3, 'x');
      const removals = { deleted: () => files.delete('a', 'deleted'), swept: () => ((nowMs = 3000), files.sweep(0, 9)) };
      for (const [id, remove] of Object.entries(removals)) {
        await keep(files, id, content, { expires_at_ms: 2000 });
        const reading = files.read((await files.find('a', id)) as StoredFile);
        expect((await reading.next()).value).toHaveLength(chunkBytes);
        await remove();
        await expect(reading.next()).rejects.toMatchObject({ code: 'file_not_found' });
      }
      await keep(files, 'empty', Buffer.alloc(0), { expires_at_ms: null });
      expect(await read(files, 'empty')).toHaveLength(0);
      await close();
    });

    it('lists files by page, in either order', async () => {
      let nowMs = 1;
      const { files, close } = await open(await place(), () => nowMs);
      for (const id of ['f1', 'f2', 'f3', 'f4']) {
        await keep(files, id);
        // Two of the same moment.
        if (id !== 'f2') nowMs += 1;
      }
      await keep(files, 'other', undefined, { tenant: 'b' });
      const page = async (after: string | undefined, order: 'asc' | 'desc', limit = 2) =>
        (await files.list({ tenant: 'a', purpose: undefined, after, order, limit })).map(({ id }) => id);
      expect([await page(undefined, 'desc'), await page('f3', 'desc'), await page('f1', 'desc')]).toEqual([['f4', 'f3'], ['f2', 'f1'], []]);
      expect([await page(undefined, 'asc', 3), await page('f3', 'asc')]).toEqual([['f1', 'f2', 'f3'], ['f4']]);
      expect(await files.list({ tenant: 'a', purpose: 'batch_output', after: undefined, order: 'asc', limit: 9 })).toEqual([]);
      expect(await page('unknown', 'asc')).toEqual([]);
      await close();
    });

    it('keeps no more than may be of files that come at the same time, and as much of them as fits', async () => {
      const { files, close } = await open(await place());
      const writers = await Promise.all(Array.from({ length: 6 }, (_, index) => write(files, `f${index}`, Buffer.alloc(300))));
      const bounds = { ...unbounded, tenantFilesMax: 9, tenantBytesMax: 1000 };
      const kept = await Promise.all(writers.map((writer) => files.keep(writer, 'a', {}, bounds)));
      expect(kept.filter((tooMany) => tooMany === undefined)).toHaveLength(3);
      expect(kept.filter((tooMany) => tooMany === 'bytes')).toHaveLength(3);
      expect(await files.keep(writers[kept.indexOf('bytes')] as (typeof writers)[number], 'a', {}, { ...bounds, tenantFilesMax: 3 })).toBe(
        'files',
      );
      await close();
    });

    it('forgets files whose time is over, and those that were never completed', async () => {
      let nowMs = 1000;
      const { files, close } = await open(await place(), () => nowMs);
      await keep(files, 'kept');
      await keep(files, 'short', undefined, { expires_at_ms: 1500 });
      await write(files, 'cut', Buffer.from('x'));
      nowMs = 2000;
      expect(await files.find('a', 'short')).toBeUndefined();
      expect(await files.sweep(1001, 10)).toBe(2);
      expect([await files.sweep(1001, 10), (await files.usage('a')).tenant.count]).toEqual([0, 1]);
      await close();
    });

    it('gives a batch to one gateway, until its claim runs out', async () => {
      const at = await place();
      const [one, other] = [await open(at), await open(at)];
      await one.batches.create(newBatch('b1'), 9);
      await one.batches.create(newBatch('b2', { created_at_ms: 2 }), 9);
      const claims = await Promise.all(
        [one, other, one, other].map(({ batches }, index) => batches.claim({ by: String(index % 2), untilMs: 100 }, 50)),
      );
      expect(claims.flatMap((batch) => (batch ? [batch.id] : [])).sort()).toEqual(['b1', 'b2']);
      const holder = (await one.batches.find('a', 'b1'))?.claimed_by as string;
      const stranger = holder === '0' ? '1' : '0';
      expect(await one.batches.renew('b1', { by: stranger, untilMs: 200 })).toBeUndefined();
      expect(await one.batches.renew('b1', { by: holder, untilMs: 200 })).toBe('validating');
      expect(await other.batches.change('b1', stranger, ['validating'], { status: 'in_progress' })).toBe(false);
      expect((await other.batches.claim({ by: 'third', untilMs: 300 }, 150))?.id).toBe('b2');
      expect((await other.batches.claim({ by: 'third', untilMs: 300 }, 250))?.id).toBe('b1');
      await one.batches.release('b1', 'third');
      expect((await other.batches.claim({ by: 'fourth', untilMs: 300 }, 250))?.id).toBe('b1');
      await Promise.all([one.close(), other.close()]);
    });

    it('takes no more batches of a tenant than may be open, however many come at the same time', async () => {
      const at = await place();
      const gateways = [await open(at), await open(at)];
      const created = await Promise.all(
        Array.from({ length: 12 }, (_, index) =>
          (gateways[index % 2] as (typeof gateways)[number]).batches.create(newBatch(`b${index}`), 3),
        ),
      );
      expect(created.filter((batch) => batch !== undefined)).toHaveLength(3);
      const [{ batches }] = gateways as [(typeof gateways)[number]];
      expect(await batches.list({ tenant: 'a', after: undefined, limit: 99 })).toHaveLength(3);
      expect(await batches.create(newBatch('other', { tenant: 'b' }), 3)).toMatchObject({ id: 'other' });
      await batches.claim({ by: 'me', untilMs: 100 }, 50);
      const { id = '' } =
        (await batches.list({ tenant: 'a', after: undefined, limit: 99 })).find(({ claimed_by: by }) => by === 'me') ?? {};
      expect(await batches.change(id, 'me', ['validating'], { status: 'completed', ended_at_ms: 60 })).toBe(true);
      expect([await batches.create(newBatch('next'), 3), await batches.create(newBatch('one more'), 3)]).toEqual([
        expect.objectContaining({ id: 'next' }),
        undefined,
      ]);
      for (const { close } of gateways) await close();
    });

    it('takes no more batches of a key than may be open, under however many names they come', async () => {
      const { batches, close } = await open(await place());
      const create = (id: string, tenant: string) => batches.create(newBatch(id, { tenant }), 9, 3);
      expect(
        (await Promise.all(['k_y', 'k_y.1', 'k_y.2', 'k_y.3', 'k_y.4'].map((tenant) => create(tenant, tenant)))).filter(
          (batch) => batch !== undefined,
        ),
      ).toHaveLength(3);
      // An underscore stands for itself, and what only begins alike is another key.
      for (const tenant of ['kXy.1', 'k_yz', '', '.1']) expect(await create(tenant, tenant)).toMatchObject({ tenant });
      expect([await create('third', '.2'), await create('fourth', '.3')]).toEqual([expect.objectContaining({ id: 'third' }), undefined]);
      await close();
    });

    it('keeps no more files of a key, and bytes, than may be, under however many names they come', async () => {
      const { files, close } = await open(await place());
      await keep(files, 'file-1', Buffer.from('xxx'), { tenant: 'k' });
      await keep(files, 'file-2', Buffer.from('xx'), { tenant: 'k.1' });
      await keep(files, 'file-3', Buffer.from('x'), { tenant: 'kk' });
      expect(await files.usage('k.1')).toEqual({ tenant: { count: 1, bytes: 2 }, key: { count: 2, bytes: 5 }, bytesOfAll: 6 });
      const tried = async (bounds: object) =>
        files.keep(
          await write(files, `file-${Math.random()}`, Buffer.from('xxxxx'), { tenant: 'k.2' }),
          'k.2',
          {},
          { ...unbounded, ...bounds },
        );
      expect([await tried({ keyFilesMax: 2 }), await tried({ keyBytesMax: 9 }), await tried({ keyFilesMax: 3, keyBytesMax: 10 })]).toEqual([
        'files',
        'bytes',
        undefined,
      ]);
      await close();
    });

    it('keeps the first answer of a line, and only that', async () => {
      const { batches, close } = await open(await place());
      const batch = (await batches.create(newBatch('b1'), 9)) as Batch;
      await batches.claim({ by: 'me', untilMs: 100 }, 50);
      await batches.addLines(
        'b1',
        'me',
        Array.from({ length: 250 }, (_, index) => ({ number: index + 1, custom_id: `c${index}`, request: '{}' })),
      );
      const result = (outcome: 'completed' | 'failed', text: string) => ({ outcome, result: text, input_tokens: 3, output_tokens: 4 });
      expect(await batches.answerLine('b1', 2, result('completed', 'first'))).toBe(true);
      expect(await batches.answerLine('b1', 2, result('failed', 'second'))).toBe(false);
      expect(await batches.answerLine('b1', 3, result('failed', 'x'))).toBe(true);
      expect((await batches.openLines('b1', 0, 3)).map(({ number }) => number)).toEqual([1, 4, 5]);
      expect((await batches.openLines('b1', 248, 9)).map(({ custom_id: id }) => id)).toEqual(['c248', 'c249']);
      expect(await batches.answeredLines('b1', 'completed', 0, 9)).toEqual([
        { number: 2, result: 'first', input_tokens: 3, output_tokens: 4 },
      ]);
      expect(await batches.counts({ ...batch, total: 250 })).toEqual({ total: 250, completed: 1, failed: 1 });
      await close();
    });

    it('gives no more lines at once than are to be in memory, and a larger one alone', async () => {
      const { batches, close } = await open(await place());
      await batches.create(newBatch('b1'), 9);
      await batches.claim({ by: 'me', untilMs: 100 }, 50);
      // Characters of three bytes: what counts is their bytes.
      const sizes = [5, 600_000, 90_000, 1_000_000, 5, 5, 5];
      const texts = sizes.map((size) => '你'.repeat(size));
      await batches.addLines(
        'b1',
        'me',
        texts.map((request, index) => ({ number: index + 1, custom_id: `c${index}`, request })),
      );
      const pages = async (read: (after: number) => Promise<readonly { readonly number: number }[]>) => {
        const found: number[][] = [];
        for (let page = await read(0); page.length > 0; page = await read(page.at(-1)?.number ?? 0))
          found.push(page.map(({ number }) => number));
        return found;
      };
      const expected = [[1, 2], [3], [4], [5, 6], [7]];
      expect(await pages((after) => batches.openLines('b1', after, 2))).toEqual(expected);
      for (const [index, result] of texts.entries())
        await batches.answerLine('b1', index + 1, { outcome: 'completed', result, input_tokens: 0, output_tokens: 0 });
      expect(await pages((after) => batches.answeredLines('b1', 'completed', after, 2))).toEqual(expected);
      await close();
    });

    it('takes nothing about a batch from who has lost it', async () => {
      const { batches, files, close } = await open(await place());
      await batches.create(newBatch('b1'), 9);
      await batches.claim({ by: 'one', untilMs: 100 }, 50);
      const line = (number: number) => ({ number, custom_id: `c${number}`, request: '{}' });
      await batches.addLines('b1', 'one', [line(1), line(2)]);
      await batches.claim({ by: 'other', untilMs: 300 }, 150);
      await expect(batches.addLines('b1', 'one', [line(3)])).rejects.toThrow(ClaimLost);
      await expect(batches.clearLines('b1', 'one')).rejects.toThrow(ClaimLost);
      await expect(batches.failLines('b1', 'one', [{ number: 1, result: 'x' }])).rejects.toThrow(ClaimLost);
      await (await write(files, 'file-out', Buffer.from('x'))).flush();
      expect(await batches.end('b1', 'one', ['validating'], { status: 'completed' }, ['file-out'])).toBe(false);
      expect((await batches.openLines('b1', 0, 9)).map(({ number }) => number)).toEqual([1, 2]);
      expect(await files.find('a', 'file-out')).toBeUndefined();
      await batches.failLines('b1', 'other', [{ number: 1, result: 'x' }]);
      expect(await batches.standing()).toEqual({ byStatus: { validating: 1 }, oldestCreatedAtMs: 1 });
      expect(await batches.end('b1', 'other', ['validating'], { status: 'completed' }, ['file-out'])).toBe(true);
      expect(await files.find('a', 'file-out')).toMatchObject({ size_bytes: 1 });
      expect(await batches.standing()).toEqual({ byStatus: {}, oldestCreatedAtMs: undefined });
      await close();
    });

    it('ends no batch, and keeps no file, whose bytes were swept while they came', async () => {
      const { batches, files, close } = await open(await place());
      await batches.create(newBatch('b1'), 9);
      await batches.claim({ by: 'one', untilMs: 100 }, 50);
      const swept = await write(files, 'swept', Buffer.from('x'));
      await swept.flush();
      expect(await files.sweep(2_000_000, 9)).toBe(1);
      await (await write(files, 'there', Buffer.from('x'))).flush();
      await expect(batches.end('b1', 'one', ['validating'], { status: 'completed' }, ['there', 'swept'])).rejects.toThrow('is gone');
      expect([(await batches.find('a', 'b1'))?.status, await files.find('a', 'there')]).toEqual(['validating', undefined]);
      await expect(files.keep(swept, 'a', {}, unbounded)).rejects.toMatchObject({ code: 'storage_unavailable' });
      await close();
    });

    it('forgets the lines of a batch whose gateway was gone before it had, and of no other', async () => {
      const { batches, close } = await open(await place());
      for (const id of ['b1', 'b2']) {
        await batches.create(newBatch(id), 9);
        await batches.claim({ by: 'me', untilMs: 100 }, 50);
        await batches.addLines(id, 'me', [{ number: 1, custom_id: 'c', request: '{}' }]);
      }
      expect(await batches.end('b1', 'me', ['validating'], { status: 'expired', ended_at_ms: 60 }, [])).toBe(true);
      expect(await batches.sweep(0, 9)).toBe(0);
      expect([await batches.openLines('b1', 0, 9), await batches.openLines('b2', 0, 9)]).toMatchObject([[], [{ number: 1 }]]);
      expect(await batches.find('a', 'b1')).toMatchObject({ status: 'expired' });
      await close();
    });

    it('lists and cancels batches of their tenant, and forgets old ones', async () => {
      const { batches, close } = await open(await place());
      for (const [index, id] of ['b1', 'b2', 'b3'].entries()) await batches.create(newBatch(id, { created_at_ms: index }), 9);
      await batches.create(newBatch('bx', { tenant: 'b' }), 9);
      const ids = async (after?: string) => (await batches.list({ tenant: 'a', after, limit: 2 })).map(({ id }) => id);
      expect([await ids(), await ids('b2'), await ids('bx')]).toEqual([['b3', 'b2'], ['b1'], []]);
      expect([await batches.cancel('b', 'b1', 5), await batches.cancel('a', 'b1', 5), await batches.cancel('a', 'b1', 5)]).toEqual([
        false,
        true,
        false,
      ]);
      expect((await batches.standing()).byStatus).toEqual({ validating: 3, cancelling: 1 });
      await batches.claim({ by: 'me', untilMs: 100 }, 50);
      expect(await batches.change('b1', 'me', ['cancelling'], { status: 'cancelled', ended_at_ms: 60 })).toBe(true);
      expect((await batches.standing()).byStatus).toEqual({ validating: 3 });
      expect([await batches.sweep(60, 9), await batches.sweep(61, 9), await ids('b2')]).toEqual([0, 1, []]);
      await close();
    });
  });
}
