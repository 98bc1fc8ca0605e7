import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedEngine, type EmbeddedEngine, type EmbeddedEngineStatus } from '../../src/index.ts';

describe('the end of the engine process', () => {
  /** The real engine processes, so that a test can speak to them, and for them. */
  const children: ChildProcess[] = [];
  const onChild = (message: unknown) => void children.push((message as { readonly process: ChildProcess }).process);
  beforeAll(() => subscribe('child_process', onChild));
  afterAll(() => void unsubscribe('child_process', onChild));
  let engine: EmbeddedEngine | undefined;
  afterEach(() => engine?.close());
  const start = (onStatus?: (status: EmbeddedEngineStatus) => void) => {
    engine = startEmbeddedEngine({ model: 'default', threads: 1, contextLength: 512, maxBatchSize: 2, stepTokenBudget: 128, maxQueue: 4, continuousBatching: true, ...(onStatus && { onStatus }) });
    return { engine, child: children.at(-1) as ChildProcess };
  };

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

  it('is its end, though the process had become ready before it was killed', async () => {
    const { engine: running, child } = start();
    const model = await running.ready();
    const closing = running.close();
    child.emit('message', { type: 'ready', model, notice: undefined });
    await closing;
    expect(running.status.state).toBe('closed');
  });
});
