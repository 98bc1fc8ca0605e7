import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { GeneratePart, GenerateRequest } from '@open-autoglm/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startEmbeddedEngine, type EmbeddedEngine, type EmbeddedEngineOptions, type EmbeddedEngineStatus } from '../../src/index.ts';
import { greedy } from '../support/requests.ts';

const { execPath } = process;

describe('the end of the engine process', () => {
  /** The real engine processes, so that a test can speak to them, and for them. */
  const children: ChildProcess[] = [];
  const onChild = (message: unknown) => void children.push((message as { readonly process: ChildProcess }).process);
  beforeAll(() => subscribe('child_process', onChild));
  afterAll(() => void unsubscribe('child_process', onChild));
  let engine: EmbeddedEngine | undefined;
  afterEach(() => engine?.close());
  const restarting = (details: string[], count: number) =>
    vi.waitFor(() => expect(details.length).toBeGreaterThanOrEqual(count), { timeout: 30_000 });
  const start = (
    onStatus?: (status: EmbeddedEngineStatus) => void,
    stallTimeoutMs?: number,
    options: Partial<EmbeddedEngineOptions> = {},
  ) => {
    engine = startEmbeddedEngine({
      model: 'default',
      threads: 1,
      contextLength: 512,
      maxBatchSize: 2,
      stepTokenBudget: 128,
      maxQueue: 4,
      continuousBatching: true,
      ...(onStatus && { onStatus }),
      ...(stallTimeoutMs && { stallTimeoutMs }),
      ...options,
    });
    return { engine, child: children.at(-1) as ChildProcess };
  };

  const request = (id: string): GenerateRequest => ({
    id,
    prompt: { segments: [{ kind: 'text', text: '你好' }] },
    maxTokens: 400,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
    sampling: { ...greedy, logitBias: { 2: -100 } },
  });

  it('is told with its cause', async () => {
    const details: string[] = [];
    const { engine: running, child } = start(({ state, detail }) => state === 'restarting' && details.push(detail));
    await running.ready();
    child.send({ type: 'generate', request: null });
    await once(child, 'exit');
    await running.ready();
    expect(details).toHaveLength(1);
    expect(details[0]).toMatch(/ended \(exit code 1: Cannot read properties of null .*\) and is being restarted/);
  });

  // Node tells of the first by an event, and throws of the second.
  it.each([
    ['the program is gone', () => void (process.execPath = '/nowhere/node'), /ENOENT/],
    ['the system refuses its environment', () => void vi.stubEnv('AUTOGLM_TEST_LARGE', 'x'.repeat(300_000)), /E2BIG/],
  ])(
    'is followed by another attempt when it cannot even be started: %s',
    async (_, spoil, reason) => {
      const details: string[] = [];
      const { engine: running, child } = start(({ state, detail }) => state === 'restarting' && details.push(detail));
      await running.ready();
      try {
        spoil();
        child.kill('SIGKILL');
        await restarting(details, 3);
      } finally {
        process.execPath = execPath;
        vi.unstubAllEnvs();
      }
      expect(details[1]).toMatch(reason);
      await running.ready();
      expect(running.status.state).toBe('ready');
    },
    60_000,
  );

  it('is told to whoever asks for tokens, when it hangs', async () => {
    const { engine: running, child } = start(undefined, 300);
    await running.ready();
    child.kill('SIGSTOP');
    const asked = [running.countTokens([{ kind: 'text', text: 'a' }]), running.tokenize({ segments: [{ kind: 'text', text: 'a' }] })];
    expect(await Promise.allSettled(asked)).toMatchObject([1, 2].map(() => ({ status: 'rejected', reason: { code: 'engine_crashed' } })));
    await running.ready();
    expect(await running.countTokens([{ kind: 'text', text: 'hello' }])).toHaveLength(1);
  }, 60_000);

  it('leaves one in peace that loads its model while an answer from before was not read to its end', async () => {
    const details: string[] = [];
    const { engine: running, child } = start(({ state, detail }) => state === 'restarting' && details.push(detail), 300);
    await running.ready();
    const unread = running.generate(request('unread'), new AbortController().signal);
    await unread.next();
    child.kill('SIGSTOP');
    await restarting(details, 1);
    await running.ready();
    expect(details).toHaveLength(1);
    await expect(Array.fromAsync(unread)).rejects.toMatchObject({ code: 'engine_crashed' });
  }, 60_000);

  it.each<[string, (unread: AsyncGenerator<GeneratePart>, leaving: AbortController) => Promise<unknown>]>([
    ['is over', async () => {}],
    ['was given up', async (_, leaving) => leaving.abort()],
  ])(
    'is not brought about by an answer that %s and is not read to its end',
    async (_, end) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
      try {
        const { engine: running, child } = start();
        await running.ready();
        const leaving = new AbortController();
        const unread = running.generate({ ...request('unread'), maxTokens: 3 }, leaving.signal);
        await unread.next();
        await end(unread, leaving);
        // What comes later is answered after it.
        expect(
          (await Array.fromAsync(running.generate({ ...request('later'), maxTokens: 9 }, new AbortController().signal))).at(-1)?.type,
        ).toBe('text-end');
        vi.advanceTimersByTime(600_000);
        expect(child.killed).toBe(false);
        // Nor does it make the next one's silence longer than it is.
        const next = running.generate(request('next'), new AbortController().signal);
        const first = next.next();
        vi.advanceTimersByTime(100_000);
        expect(child.killed).toBe(false);
        await first;
        await Promise.allSettled([next.return(undefined), unread.return(undefined)]);
      } finally {
        vi.useRealTimers();
      }
    },
    60_000,
  );

  it('is not brought about by a gateway that was stopped itself', async () => {
    const { engine: running, child } = start(undefined, 300);
    await running.ready();
    const answer = running.generate(request('answer'), new AbortController().signal);
    await answer.next();
    // Nothing of what the engine says meanwhile can be read.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    expect((await Array.fromAsync(answer)).at(-1)).toMatchObject({ type: 'text-end' });
    expect(child.killed).toBe(false);
  }, 60_000);

  it('ends the download of its model too, and leaves nothing of it', async () => {
    const home = await mkdtemp(path.join(tmpdir(), 'autoglm-home-'));
    const asked = Promise.withResolvers<Socket>();
    // It takes what is asked, and never answers.
    const registry = createServer((socket) => asked.resolve(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(registry, 'listening');
    vi.stubEnv('npm_config_registry', `http://127.0.0.1:${(registry.address() as AddressInfo).port}`);
    vi.stubEnv('npm_execpath', undefined);
    try {
      const { engine: running } = start(undefined, undefined, { model: 'tinyllama', home });
      const socket = await asked.promise;
      await running.close();
      // Whoever downloads has gone.
      if (!socket.closed) await once(socket.resume(), 'close');
      expect(await readdir(home)).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
      registry.close();
      await rm(home, { recursive: true });
    }
  }, 60_000);

  it('is its end, though the process had become ready before it was killed', async () => {
    const { engine: running, child } = start();
    const model = await running.ready();
    const closing = running.close();
    child.emit('message', { type: 'ready', model, notice: undefined });
    await closing;
    expect(running.status.state).toBe('closed');
  });
});
