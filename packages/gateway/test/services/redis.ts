import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { freePort, hasProgram } from './programs.ts';

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  /** As a power cut would. */
  kill(): Promise<void>;
  /** Answers nothing any more, and keeps its connections. */
  freeze(): void;
  thaw(): void;
  /** On the port of the one that was killed. */
  start(): Promise<void>;
}

export const hasRedis = hasProgram('redis-server');

/** A Redis of the test's own, in memory alone. */
export async function startRedis(): Promise<RedisServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-redis-'));
  const port = await freePort();
  let child = launch(port, folder);
  await accepts(port);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async start() {
      child = launch(port, folder);
      await accepts(port);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGCONT');
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface SuiteRedis {
  /** Known once the suite's tests run. */
  readonly server: RedisServer;
  /** Looks into it from outside; connects again by itself. */
  readonly admin: Redis;
}

/** One Redis for the tests of the `describe` that calls this. */
export function useRedis(): SuiteRedis {
  let server: RedisServer;
  let admin: Redis;
  beforeAll(async () => {
    server = await startRedis();
    admin = new Redis(server.url, { retryStrategy: () => 20 });
    admin.on('error', () => {});
  });
  afterAll(async () => {
    admin.disconnect();
    await server[Symbol.asyncDispose]();
  });
  return {
    get server() {
      return server;
    },
    get admin() {
      return admin;
    },
  };
}

function launch(port: number, folder: string) {
  return spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder], {
    stdio: 'ignore',
  });
}

/** Until it takes connections; the test's own timeout bounds it. */
async function accepts(port: number): Promise<void> {
  while (!(await tries(port))) await new Promise((resolve) => setTimeout(resolve, 10));
}

function tries(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
