import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddingEngine, type EmbeddedEmbeddings, type EmbeddingEngineOptions } from '../../src/index.ts';
import { writeTinyBert } from '../support/tiny-bert.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const never = new AbortController().signal;

describe('the embedding process', () => {
  let folder: string;
  let model: string;
  let engine: EmbeddedEmbeddings;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-embeddings-'));
    model = path.join(folder, 'tiny.gguf');
    await writeTinyBert(model, { seed: 12 });
  });
  afterEach(() => engine.close());
  afterAll(() => rm(folder, { recursive: true }));
  const start = (options: Partial<EmbeddingEngineOptions> = {}) =>
    (engine = startEmbeddingEngine({ model, id: 'tiny', maxQueue: 64, ...options }));

  it('ends what runs when it dies, and is there again', async () => {
    const changes: string[] = [];
    const changed = Promise.withResolvers<void>();
    start({ onStatus: ({ state }) => (changes.push(state), state === 'restarting' && changed.resolve()) });
    expect(await engine.ready()).toMatchObject({ id: 'tiny', dimensions: 64 });
    const running = expect(
      engine.embed({ id: 'a', inputs: new Array<string>(2000).fill('the cat '.repeat(20)) }, never),
    ).rejects.toMatchObject({ code: 'engine_crashed' });
    process.kill(engine.processId as number, 'SIGKILL');
    await running;
    await changed.promise;
    await expect(engine.embed({ id: 'b', inputs: ['a'] }, never)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await engine.ready();
    expect((await engine.embed({ id: 'c', inputs: ['a'] }, never)).vectors).toHaveLength(1);
    expect(changes).toContain('ready');
  });

  it('ends a process that hangs', async () => {
    start({ stallTimeoutMs: 200 });
    await engine.ready();
    process.kill(engine.processId as number, 'SIGSTOP');
    await expect(engine.embed({ id: 'a', inputs: ['a'] }, never)).rejects.toMatchObject({ code: 'engine_crashed' });
  });

  it('leaves alone a process whose passes for one request take longer than silence may', async () => {
    const large = path.join(folder, 'large.gguf');
    await writeTinyBert(large, { seed: 3, layers: 6, hidden: 256 });
    const embed = async (options: Partial<EmbeddingEngineOptions>) => {
      start({ model: large, ...options });
      await engine.ready();
      const answer = await engine.embed({ id: 'a', inputs: new Array<string>(100).fill('the cat '.repeat(50)) }, never);
      await engine.close();
      return answer;
    };
    const { times } = await embed({});
    expect((await embed({ stallTimeoutMs: (times?.computeMs as number) / 3 })).vectors).toHaveLength(100);
  }, 60_000);

  it('stays down with a model that makes no embeddings, and says so', async () => {
    const llama = path.join(folder, 'llama.gguf');
    await writeTinyModel(llama, { architecture: 'llama', seed: 1 });
    start({ model: llama });
    await expect(engine.ready()).rejects.toMatchObject({ code: 'engine_failed', message: expect.stringContaining('architecture "llama"') });
    expect(engine.status.state).toBe('failed');
  });

  it('refuses more texts than may wait, and is free again when those that wait leave', async () => {
    start({ maxQueue: 4 });
    await engine.ready();
    const leaving = new AbortController();
    const long = new Array<string>(2000).fill('the cat '.repeat(20));
    const first = engine.embed({ id: 'a', inputs: long }, leaving.signal).catch((error: unknown) => error);
    await expect(engine.embed({ id: 'b', inputs: ['a'] }, never)).rejects.toMatchObject({ code: 'queue_full' });
    leaving.abort(new Error('left'));
    expect(await first).toMatchObject({ message: 'left' });
    expect((await engine.embed({ id: 'c', inputs: ['a', 'b'] }, never)).vectors).toHaveLength(2);
  });

  it('ends with its gateway', async () => {
    start();
    await engine.ready();
    const pid = engine.processId as number;
    await engine.close();
    expect(() => process.kill(pid, 0)).toThrow();
  });
});
