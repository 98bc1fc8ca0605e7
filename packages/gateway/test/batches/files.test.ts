import { once } from 'node:events';
import { createServer, request, type Server as HttpServer, type ServerResponse } from 'node:http';
import { connect, Server, type AddressInfo } from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { toFile } from 'openai';
import { describe, expect, it, vi } from 'vitest';
import { Access } from '../../src/ingress/access.ts';
import { FileRoutes } from '../../src/ingress/batches/file-routes.ts';
import type { FileStore } from '../../src/ingress/batches/store/file-store.ts';
import type { Generations } from '../../src/ingress/generations.ts';
import { InHand } from '../../src/ingress/in-hand.ts';
import { until } from '../support.ts';
import { startBatchServer, temporaryFolder, upload, type BatchServer, type BatchServerOptions } from './support.ts';

async function withServer(
  options: BatchServerOptions,
  use: (server: Awaited<ReturnType<typeof startBatchServer>>) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder();
  await using server = await startBatchServer(path.join(folder.path, 'batches.sqlite'), options);
  await use(server);
}

function form(...parts: readonly { readonly name: string; readonly value: string; readonly filename?: string }[]): FormData {
  const data = new FormData();
  for (const { name, value, filename } of parts) {
    if (filename === undefined) data.append(name, value);
    else data.append(name, new Blob([value]), filename);
  }
  return data;
}
const file = (value: string, name = 'file') => ({ name, value, filename: 'a.jsonl' });
const purpose = { name: 'purpose', value: 'batch' };

describe('files', () => {
  it('have as long to come as their size takes on a slow connection', async () => {
    using folder = temporaryFolder();
    const mebibyte = 1024 * 1024;
    for (const [fileBytesMax, seconds] of [
      [mebibyte, 60],
      [200 * mebibyte, 400],
    ] as const) {
      using listen = vi.spyOn(Server.prototype, 'listen');
      await using _ = await startBatchServer(path.join(folder.path, 'batches.sqlite'), { batches: { file_bytes_max: fileBytesMax } });
      const [server] = listen.mock.contexts as unknown as HttpServer[];
      expect(server?.requestTimeout).toBe(seconds * 1000);
    }
  });

  it("come and go as OpenAI's client expects", () =>
    withServer({}, async ({ client }) => {
      const content = '{"a": 1}\n'.repeat(100_000);
      const created = await client.files.create({
        file: await toFile(Buffer.from(content), '请求.jsonl'),
        purpose: 'batch',
        expires_after: { anchor: 'created_at', seconds: 3600 },
      });
      expect(created).toMatchObject({
        object: 'file',
        bytes: content.length,
        filename: '请求.jsonl',
        purpose: 'batch',
        status: 'processed',
      });
      expect(created.expires_at).toBe(created.created_at + 3600);
      expect(await client.files.retrieve(created.id)).toEqual(created);
      expect(await (await client.files.content(created.id)).text()).toBe(content);
      const other = await upload(client, 'x');
      const ids: string[] = [];
      for await (const { id } of client.files.list({ limit: 1 })) ids.push(id);
      expect(ids).toEqual([other, created.id]);
      expect((await client.files.list({ purpose: 'batch_output' })).data).toEqual([]);
      expect(await client.files.delete(created.id)).toEqual({ id: created.id, object: 'file', deleted: true });
      await expect(client.files.retrieve(created.id)).rejects.toMatchObject({ status: 404, code: 'file_not_found' });
    }));

  it('are refused by the field where something is wrong, and then nothing is kept', () =>
    withServer({ batches: { file_bytes_max: 2048 } }, async ({ client, gateway }) => {
      const post = async (body: FormData | string, headers: Record<string, string> = {}) => {
        const response = await fetch(`${gateway.url}/v1/files`, {
          method: 'POST',
          body,
          headers: { authorization: 'Bearer one', ...headers },
        });
        const { error } = (await response.json()) as { error?: { code: string; param: string | null } };
        return [response.status, error?.code, error?.param];
      };
      expect(await post(form(file('x')))).toEqual([400, 'missing_parameter', 'purpose']);
      expect(await post(form(purpose))).toEqual([400, 'missing_parameter', 'file']);
      expect(await post(form(file('x'), { name: 'purpose', value: 'vision' }))).toEqual([400, 'invalid_value', 'purpose']);
      expect(await post(form(file('x'), purpose, { name: 'more', value: '1' }))).toEqual([400, 'unknown_parameter', 'more']);
      expect(await post(form(file('x'), file('y'), purpose))).toEqual([400, 'invalid_value', 'file']);
      expect(await post(form(file('x', 'document'), purpose))).toEqual([400, 'unknown_parameter', 'document']);
      expect(await post(form(file('x'), purpose, purpose))).toEqual([400, 'invalid_value', 'purpose']);
      expect(
        await post(
          form(file('x'), purpose, { name: 'expires_after[anchor]', value: 'created_at' }, { name: 'expires_after[seconds]', value: '5' }),
        ),
      ).toEqual([400, 'invalid_value', 'expires_after[seconds]']);
      expect(await post(form(file('x'.repeat(3000)), purpose))).toEqual([413, 'payload_too_large', 'file']);
      expect(await post('{}', { 'content-type': 'application/json' })).toEqual([415, 'unsupported_media_type', null]);
      expect((await post('nonsense', { 'content-type': 'multipart/form-data; boundary=x' }))[0]).toBe(400);
      expect((await post('nonsense', { 'content-type': 'multipart/form-data' }))[0]).toBe(400);
      expect((await client.files.list()).data).toEqual([]);
      expect(await post(form(file('x'.repeat(2048)), purpose))).toEqual([200, undefined, undefined]);
    }));

  it('have bounds: how many, and how many bytes', () =>
    withServer({ batches: { tenant_files_max: 2, tenant_bytes_max: 4096, bytes_max: 5000 } }, async ({ client, clientOf }) => {
      await upload(client, 'x'.repeat(3000));
      await expect(upload(client, 'x'.repeat(3000))).rejects.toMatchObject({ status: 413, code: 'storage_limit_exceeded' });
      const kept = await upload(client, 'x'.repeat(1000));
      await expect(upload(client, 'x')).rejects.toMatchObject({ status: 413, code: 'storage_limit_exceeded' });
      await expect(upload(clientOf('two'), 'x'.repeat(1001))).rejects.toMatchObject({ status: 413 });
      await client.files.delete(kept);
      await upload(clientOf('two'), 'x'.repeat(1001));
    }));

  it('that come at the same time do not share the same room', () =>
    withServer({ batches: { tenant_bytes_max: 400_000, bytes_max: 400_000 } }, async ({ client }) => {
      const sent = await Promise.allSettled(Array.from({ length: 6 }, () => upload(client, 'x'.repeat(150_000))));
      const refused = sent.filter((result) => result.status === 'rejected');
      for (const { reason } of refused) expect(reason).toMatchObject({ status: 413, code: 'storage_limit_exceeded' });
      expect(refused).toHaveLength(4);
      expect((await client.files.list()).data).toHaveLength(2);
    }));

  it.each([
    ['is deleted', async ({ client }, _database, id) => void (await client.files.delete(id))],
    ['cannot be read any more', async (_server, database) => database.exec('alter table autoglm_file_chunks rename to away')],
  ] satisfies [string, (server: BatchServer, database: DatabaseSync, id: string) => Promise<void>][])(
    'that %s on its way to a client ends with the connection, and nothing else is sent',
    async (_what, spoil) => {
      using folder = temporaryFolder();
      const place = path.join(folder.path, 'batches.sqlite');
      await using server = await startBatchServer(place);
      // More than fits into the buffers between the two.
      const size = 24 * 1024 * 1024;
      const id = await upload(server.client, 'x'.repeat(size));
      const { hostname, port } = new URL(server.gateway.url);
      const socket = connect(Number(port), hostname);
      // Another request waits on the same connection: its answer would be taken for the rest of the file.
      for (const target of [`/v1/files/${id}/content`, '/healthz'])
        socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer one\r\n\r\n`);
      const [first] = (await once(socket, 'data')) as [Buffer];
      socket.pause();
      const database = new DatabaseSync(place);
      await spoil(server, database, id);
      database.close();
      const received = [first];
      socket.on('data', (bytes: Buffer) => received.push(bytes)).on('error', () => {});
      socket.resume();
      await once(socket, 'close');
      const all = Buffer.concat(received);
      const body = all.subarray(all.indexOf('\r\n\r\n') + 4);
      expect(all.toString('latin1', 0, 400)).toContain(`content-length: ${size}`);
      expect(body.length).toBeLessThan(size);
      expect(body.equals(Buffer.alloc(body.length, 'x'))).toBe(true);
    },
  );

  it('hold no place for a client that reads nothing of them', async () => {
    const endless = { id: 'file-a', size_bytes: Number.MAX_SAFE_INTEGER };
    async function* read(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(64 * 1024);
    }
    const inHand = new InHand(1);
    const routes = new FileRoutes({
      files: async () => ({ find: async () => endless, read }) as unknown as FileStore,
      access: new Access(undefined, undefined),
      generations: { take: (response: ServerResponse) => inHand.takeFor(response), admitCall: async () => {} } as unknown as Generations,
      bounds: { fileBytesMax: 1, tenantFilesMax: 1, tenantBytesMax: 1, keyFilesMax: 1, keyBytesMax: 1, bytesMax: 1, ttlMs: 1 },
      now: () => 0,
      newId: () => 'file-b',
    });
    const route = `/v1/files/${endless.id}/content`;
    const server = createServer(
      (message, response) =>
        void routes
          .find(route)
          ?.serve({ message, response, path: route, requestId: 'r' })
          .catch(() => response.destroy()),
    );
    await once(server.listen(0, '127.0.0.1'), 'listening');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { port } = server.address() as AddressInfo;
      using reader = new DisposableStack();
      const socket = reader.adopt(connect({ host: '127.0.0.1', port }), (open) => open.destroy());
      socket.write(`GET ${route} HTTP/1.1\r\nhost: a\r\n\r\n`);
      // The reader is waited for, and nothing else has a timer.
      await until(() => vi.getTimerCount() > 0);
      expect(() => inHand.take()).toThrow('1 requests in hand');
      vi.advanceTimersByTime(60_000);
      await inHand.drain(0);
    } finally {
      vi.useRealTimers();
      server.close();
    }
  });

  it('whose client leaves in the middle leave nothing behind', () =>
    withServer({ batches: { tenant_bytes_max: 4 * 1024 * 1024 } }, async ({ client, gateway }) => {
      const { hostname, port } = new URL(gateway.url);
      const sending = request({
        hostname,
        port,
        path: '/v1/files',
        method: 'POST',
        headers: { authorization: 'Bearer one', 'content-type': 'multipart/form-data; boundary=b' },
      });
      sending.on('error', () => {});
      sending.write('--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n');
      for (let count = 0; count < 40; count += 1) sending.write(Buffer.alloc(64 * 1024, 'x'));
      // What has come counts as kept, so there is no room for another of this size while it is there.
      const fits = () =>
        upload(client, 'x'.repeat(3 * 1024 * 1024)).then(
          (id) => client.files.delete(id),
          () => undefined,
        );
      await until(async () => (await fits()) === undefined);
      sending.destroy();
      await until(async () => (await fits()) !== undefined);
    }));
});
