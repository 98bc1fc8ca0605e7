import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { hasPostgres, startPostgres } from '../services/postgres.ts';
import { createBatch, ended, readOutput, temporaryFolder } from './support.ts';

interface GatewayProcess extends AsyncDisposable {
  readonly client: OpenAI;
  kill(): Promise<void>;
}

async function start(env: Record<string, string>): Promise<GatewayProcess> {
  const child: ChildProcess = fork(path.join(import.meta.dirname, 'gateway-process.ts'), {
    env: { ...process.env, ...env },
    execArgv: ['--no-warnings'],
  });
  const [url] = (await once(child, 'message')) as [string];
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return { client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'one', maxRetries: 0 }), kill, [Symbol.asyncDispose]: kill };
}

const lines = Array.from({ length: 120 }, (_, index) => ({ custom_id: `line-${index}` }));

/** Until at least so many lines are answered. */
async function answered(client: OpenAI, id: string, count: number): Promise<void> {
  while (((await client.batches.retrieve(id)).request_counts?.completed ?? 0) < count)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

async function expectAllOnce(client: OpenAI, id: string): Promise<void> {
  const batch = await ended(client, id);
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: lines.length, completed: lines.length, failed: 0 },
    error_file_id: null,
  });
  const output = await readOutput(client, batch.output_file_id);
  expect(output.map(({ custom_id: customId }) => customId)).toEqual(lines.map(({ custom_id: customId }) => customId));
}

describe('a gateway that is killed', () => {
  it('and started again, twice over, answers every line once', async () => {
    using folder = temporaryFolder();
    const env = { SQLITE: path.join(folder.path, 'batches.sqlite') };
    let id = '';
    for (const count of [0, 40]) {
      await using gateway = await start(env);
      if (id === '') id = (await createBatch(gateway.client, lines)).id;
      await answered(gateway.client, id, count);
      await gateway.kill();
    }
    await using gateway = await start(env);
    await expectAllOnce(gateway.client, id);
  });

  it.skipIf(!hasPostgres)('has its batch taken over by the one beside it', async () => {
    await using postgres = await startPostgres();
    const env = { POSTGRES: await postgres.createDatabase() };
    await using one = await start(env);
    const { id } = await createBatch(one.client, lines);
    await using other = await start(env);
    await answered(other.client, id, 30);
    await one.kill();
    await expectAllOnce(other.client, id);
  });
});
