import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { freePort, hasProgram } from './programs.ts';

export interface PostgresServer extends AsyncDisposable {
  /** A database of its own at each call. */
  createDatabase(): Promise<string>;
}

/** PostgreSQL refuses to run as root: another user does, where we are root. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
const asUser = (program: string, ...args: string[]): [string, string[]] =>
  isRoot ? ['setpriv', ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', program, ...args]] : [program, args];

export const hasPostgres = hasProgram('postgres') && hasProgram('initdb') && (!isRoot || hasProgram('setpriv'));

/** A PostgreSQL of the test's own. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-postgres-'));
  chmodSync(folder, 0o700);
  if (isRoot) chownSync(folder, nobody, nobody);
  const data = path.join(folder, 'data');
  const options = { cwd: folder, env: { ...process.env, HOME: folder, LC_ALL: 'C' } };
  const made = spawnSync(...asUser('initdb', '-D', data, '-U', 'test', '--auth=trust', '-E', 'UTF8', '--no-sync'), {
    ...options,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const child = spawn(
    ...asUser('postgres', '-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'),
    { ...options, stdio: 'ignore' },
  );
  const urlOf = (name: string) => `postgres://test@127.0.0.1:${port}/${name}`;
  await accepts(port, urlOf('postgres'));
  let databases = 0;
  return {
    async createDatabase() {
      const name = `test_${(databases += 1)}`;
      const client = new pg.Client({ connectionString: urlOf('postgres') });
      await client.connect();
      await client.query(`create database ${name}`);
      await client.end();
      return urlOf(name);
    },
    async [Symbol.asyncDispose]() {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function accepts(port: number, url: string): Promise<void> {
  for (;;) {
    if (await listens(port)) {
      const client = new pg.Client({ connectionString: url });
      try {
        await client.connect();
        await client.end();
        return;
      } catch {
        // It listens before it is ready.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
