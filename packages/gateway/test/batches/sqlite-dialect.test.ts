import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { SqliteDialect } from '../../src/ingress/batches/store/sqlite-dialect.ts';
import { temporaryFolder } from './support.ts';

interface Tables {
  numbers: { number: number };
}

/** A database whose thread can be ended, on a clock of our own. */
async function open(folder: string) {
  const clock = { ms: 0 };
  const workers: Worker[] = [];
  const losses: string[] = [];
  const startWorker = (file: string) => {
    const worker = new Worker(new URL('../../src/ingress/batches/store/sqlite-worker.ts', import.meta.url), { workerData: { path: file } });
    workers.push(worker);
    return worker;
  };
  const database = new Kysely<Tables>({
    dialect: new SqliteDialect({
      path: path.join(folder, 'numbers.sqlite'),
      startWorker,
      now: () => clock.ms,
      onLost: ({ message }) => losses.push(message),
    }),
  });
  await sql`create table if not exists numbers (number integer)`.execute(database);
  return {
    clock,
    workers,
    losses,
    database,
    add: (number: number) => database.insertInto('numbers').values({ number }).execute(),
    numbers: async () => (await database.selectFrom('numbers').selectAll().execute()).map(({ number }) => number),
    kill: () => workers.at(-1)?.terminate(),
    [Symbol.asyncDispose]: () => database.destroy(),
  };
}

describe('the thread of a SQLite database', () => {
  it('is started again where it has ended, and what was written is there', async () => {
    using folder = temporaryFolder();
    await using store = await open(folder.path);
    await store.add(1);
    await store.kill();
    await store.add(2);
    expect(await store.numbers()).toEqual([1, 2]);
    expect([store.workers.length, store.losses]).toEqual([2, [expect.stringContaining('starts another')]]);
  });

  it('takes a transaction along that it had begun, and no part of that is done by the next one', async () => {
    using folder = temporaryFolder();
    await using store = await open(folder.path);
    const done = store.database.transaction().execute(async (transaction) => {
      await transaction.insertInto('numbers').values({ number: 1 }).execute();
      await store.kill();
      await transaction.insertInto('numbers').values({ number: 2 }).execute();
    });
    await expect(done).rejects.toThrow();
    expect(await store.numbers()).toEqual([]);
    await store.add(3);
    expect(await store.numbers()).toEqual([3]);
  });

  it('undoes a transaction that cannot be committed, and begins the next one', async () => {
    using folder = temporaryFolder();
    await using store = await open(folder.path);
    await sql`create table parents (id integer primary key)`.execute(store.database);
    await sql`create table children (parent integer references parents (id) deferrable initially deferred)`.execute(store.database);
    const done = store.database.transaction().execute(async (transaction) => {
      await transaction.insertInto('numbers').values({ number: 1 }).execute();
      await sql`insert into children values (1)`.execute(transaction);
    });
    await expect(done).rejects.toThrow('FOREIGN KEY');
    await store.database.transaction().execute((transaction) => transaction.insertInto('numbers').values({ number: 2 }).execute());
    expect(await store.numbers()).toEqual([2]);
  });

  it('is left alone where it ends again and again, until a minute has passed', async () => {
    using folder = temporaryFolder();
    await using store = await open(folder.path);
    for (let count = 0; count < 5; count += 1) {
      await store.add(count);
      await store.kill();
    }
    await expect(store.add(5)).rejects.toThrow('has ended');
    expect(store.workers).toHaveLength(5);
    store.clock.ms = 60_000;
    await store.add(6);
    expect(await store.numbers()).toEqual([0, 1, 2, 3, 4, 6]);
  });

  it('is not started by whoever comes when the database is closed', async () => {
    using folder = temporaryFolder();
    const store = await open(folder.path);
    await store.database.destroy();
    expect(store.losses).toEqual([]);
    await expect(store.add(1)).rejects.toThrow();
    expect(store.workers).toHaveLength(1);
  });
});
