import { getEventListeners, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileStore } from '../../src/ingress/batches/store/file-store.ts';
import { openDatabase } from '../../src/ingress/batches/store/open-database.ts';
import { hasPostgres, startPostgres, type PostgresServer } from '../services/postgres.ts';
import { until } from '../support.ts';
import { startBatchServer } from './support.ts';

interface Door extends AsyncDisposable {
  readonly url: string;
  readonly connections: ReadonlySet<Socket>;
}

/** Whoever comes is served so. */
async function openDoor(serve: (socket: Socket) => void, name = 'silent'): Promise<Door> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => {}).on('close', () => connections.delete(socket));
    serve(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = async () => {
    for (const socket of connections) socket.destroy();
    await once(server.close(), 'close');
  };
  return { url: `postgres://test@127.0.0.1:${(server.address() as AddressInfo).port}/${name}`, connections, [Symbol.asyncDispose]: close };
}

/** Lets everybody in, as PostgreSQL does, and says no more. */
const openSilent = () =>
  openDoor((socket) => socket.once('data', () => socket.write(Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 0, 90, 0, 0, 0, 5, 73]))).resume());

describe('a database that says nothing', () => {
  it('is given up', async () => {
    await using server = await openSilent();
    await expect(openDatabase({ kind: 'postgres', url: server.url }, { silentMsMax: 50 })).rejects.toThrow('has said nothing');
    await until(() => server.connections.size === 0);
  });

  it('is let go of at once by who wants no more of it', async () => {
    await using server = await openSilent();
    const leaving = new AbortController();
    const opening = openDatabase({ kind: 'postgres', url: server.url }, { signal: leaving.signal });
    await until(() => server.connections.size > 0);
    leaving.abort();
    await expect(opening).rejects.toThrow();
    await until(() => server.connections.size === 0);
  });

  it('leaves nothing with the signal of who opens it again and again', async () => {
    await using server = await openSilent();
    const { signal } = new AbortController();
    for (let attempt = 0; attempt < 3; attempt += 1)
      await expect(openDatabase({ kind: 'postgres', url: server.url }, { silentMsMax: 20, signal })).rejects.toThrow('has said nothing');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('keeps no server from ending', async () => {
    await using server = await openSilent();
    const gateway = await startBatchServer('', {
      batches: { sqlite_path: undefined, postgres_url_env: 'DATABASE' } as never,
      env: { DATABASE: server.url },
    });
    await until(() => server.connections.size > 0);
    await gateway.gateway.drain();
    await until(() => server.connections.size === 0);
  });
});

describe.skipIf(!hasPostgres)('a PostgreSQL that stops answering', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(['falls silent', 'cuts its connections'] as const)(
    'and %s fails what was asked of it, and is asked on a new connection afterwards',
    async (failure) => {
      const { port, pathname } = new URL(await server.createDatabase());
      await using door = await openDoor((socket) => {
        const behind = connect(Number(port), '127.0.0.1');
        behind.on('error', () => {}).on('data', (bytes) => socket.write(bytes));
        socket.on('data', (bytes) => behind.write(bytes)).on('close', () => behind.destroy());
      }, pathname.slice(1));
      const { database, dialect } = await openDatabase({ kind: 'postgres', url: door.url }, { silentMsMax: 2000 });
      const files = new FileStore(database, dialect, () => 1);
      expect(await files.usage('a')).toMatchObject({ tenant: { count: 0 } });
      for (const socket of door.connections) {
        socket.removeAllListeners('data');
        socket.on('data', () => (failure === 'falls silent' ? undefined : socket.destroy()));
      }
      await expect(files.begin({ id: 'file-1', tenant: 'a', purpose: 'batch', filename: 'a', expires_at_ms: null })).rejects.toThrow();
      expect(await files.usage('a')).toMatchObject({ tenant: { count: 0 } });
      await database.destroy();
    },
  );
});
