import {
  AutoglmError,
  greedySampling,
  type EngineStats,
  type GeneratePart,
  type GenerateRequest,
  type PromptEndPart,
} from '@open-autoglm/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startEmbeddedEngine, type EmbeddedEngine } from '../../src/index.ts';

/** Answers do not end by themselves: they must last until the engine has reported. */
const greedy = { ...greedySampling, logitBias: { 2: -100 } };
const prompt = '<|im_start|>user\n请写一篇关于人工智能的长文章，详细介绍它的历史和应用。<|im_end|>\n<|im_start|>assistant\n';
const never = new AbortController().signal;

function request(id: string, maxTokens: number): GenerateRequest {
  return {
    id,
    prompt: { segments: [{ kind: 'control', text: prompt }] },
    sampling: greedy,
    maxTokens,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
  };
}

const countOf = ({ counts }: EngineStats['batchSize']) => counts.reduce((sum, count) => sum + count, 0);

describe('the statistics of the engine process', () => {
  let engine: EmbeddedEngine;
  const start = () =>
    (engine = startEmbeddedEngine({
      model: 'default',
      threads: 1,
      contextLength: 8192,
      maxBatchSize: 2,
      stepTokenBudget: 128,
      maxQueue: 4,
      continuousBatching: true,
    }));
  const reported = (holds: (stats: EngineStats) => boolean) =>
    vi.waitFor(
      () => {
        const { stats } = engine;
        if (!stats || !holds(stats)) throw new Error(`not yet: ${JSON.stringify(stats)}`);
        return stats;
      },
      { timeout: 30_000, interval: 20 },
    );
  afterEach(() => engine.close());

  it('tell who runs and who waits, then count what was done, and nothing of the warming up', async () => {
    start();
    await engine.ready();
    expect(await reported(() => true)).toMatchObject({
      running: 0,
      waiting: 0,
      generatedTokens: 0,
      kvUsedTokens: 0,
      kvCapacityTokens: 2 * 8192,
    });
    const leaving = new AbortController();
    const answers = [1, 2, 3].map((index) =>
      Array.fromAsync(engine.generate(request(`r${index}`, 8000), leaving.signal)).catch((error: unknown) => error),
    );
    const busy = await reported(({ running, waiting }) => running === 2 && waiting === 1);
    expect(busy.kvUsedTokens).toBeGreaterThan(0);
    leaving.abort(new AutoglmError('client_closed_request', 'left'));
    await Promise.all(answers);
    const before = await reported(({ running, waiting }) => running === 0 && waiting === 0);
    const parts: GeneratePart[] = await Array.fromAsync(engine.generate(request('last', 12), never));
    const after = await reported(({ running, generatedTokens }) => running === 0 && generatedTokens > before.generatedTokens);
    expect(after.generatedTokens - before.generatedTokens).toBe(12);
    expect(after.promptTokens - before.promptTokens).toBe((parts[0] as PromptEndPart).promptTokens);
    expect(countOf(after.interTokenMs) - countOf(before.interTokenMs)).toBe(11);
    expect(countOf(after.batchSize)).toBeGreaterThan(countOf(before.batchSize));
    expect(after.kvUsedTokens).toBe(0);
    const { cpuSeconds, residentBytes, heapUsedBytes, loopDelayMs } = after.process ?? {};
    expect(cpuSeconds).toBeGreaterThan(before.process?.cpuSeconds as number);
    expect(residentBytes).toBeGreaterThan(heapUsedBytes as number);
    expect(loopDelayMs?.max).toBeGreaterThanOrEqual(loopDelayMs?.p50 as number);
  });

  it('are gone with the process, and begin anew with the next', async () => {
    start();
    await engine.ready();
    await Array.fromAsync(engine.generate(request('a', 3), never));
    await reported(({ generatedTokens }) => generatedTokens === 3);
    process.kill(engine.processId as number, 'SIGKILL');
    await vi.waitFor(() => expect(engine.status.state).toBe('restarting'), { timeout: 10_000 });
    expect(engine.stats).toBeUndefined();
    await engine.ready();
    expect(await reported(() => true)).toMatchObject({ generatedTokens: 0 });
  });
});
