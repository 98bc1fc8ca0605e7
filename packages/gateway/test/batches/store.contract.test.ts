import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { hasPostgres, startPostgres, type PostgresServer } from '../services/postgres.ts';
import { storeContract } from './store.contract.ts';

describe('in SQLite', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-sqlite-'));
  let databases = 0;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  storeContract('SQLite', async () => ({ kind: 'sqlite', path: path.join(folder, `${(databases += 1)}.sqlite`) }));
});

describe.skipIf(!hasPostgres)('in PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  storeContract('PostgreSQL', async () => ({ kind: 'postgres', url: await server.createDatabase() }));
});
