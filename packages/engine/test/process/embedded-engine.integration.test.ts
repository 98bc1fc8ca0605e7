import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AutoglmError, greedySampling, type GeneratePart, type GenerateRequest, type PromptEndPart } from '@open-autoglm/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { startEmbeddedEngine, type EmbeddedEngine, type EmbeddedEngineOptions } from '../../src/index.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

/** Greedy MiniMind goes on for hundreds of tokens here. */
const longPrompt = '<|im_start|>user\n请写一篇关于人工智能的长文章，详细介绍它的历史和应用。<|im_end|>\n<|im_start|>assistant\n';

function request(id: string, changes: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    id,
    prompt: { segments: [{ kind: 'control', text: longPrompt }] },
    sampling: greedySampling,
    maxTokens: 100,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
    ...changes,
  };
}

async function collect(parts: AsyncIterable<GeneratePart>): Promise<GeneratePart[]> {
  return Array.fromAsync(parts);
}

function textOf(parts: readonly GeneratePart[]): string {
  return parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
}

async function errorOf(promise: Promise<unknown>): Promise<AutoglmError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AutoglmError);
  return error as AutoglmError;
}

describe('EmbeddedEngine', () => {
  let engine: EmbeddedEngine | undefined;
  const signal = new AbortController().signal;
  const start = (options: Partial<EmbeddedEngineOptions> = {}) =>
    (engine = startEmbeddedEngine({
      model: 'default',
      threads: 1,
      contextLength: 512,
      maxBatchSize: 4,
      stepTokenBudget: 128,
      maxQueue: 4,
      continuousBatching: true,
      ...options,
    }));
  afterEach(() => engine?.close());

  it('answers, and frees its place so that more requests than places are answered', async () => {
    const running = start();
    await running.ready();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => collect(running.generate(request(`r${index}`, { maxTokens: 12 }), signal))),
    );
    expect(new Set(answers.map(textOf)).size).toBe(1);
    expect(answers[0]?.[0]).toMatchObject({ type: 'prompt-end', cachedTokens: 0 });
    expect(answers[0]?.at(-1)).toMatchObject({ type: 'text-end', finishReason: 'length', completionTokens: 12 });
  });

  it('ends running requests with a marked error when its process is killed, comes back, and answers alike', async () => {
    const running = start();
    await running.ready();
    const expected = textOf(await collect(running.generate(request('before', { maxTokens: 20 }), signal)));
    const parts = running.generate(request('cut', { maxTokens: 400 }), signal);
    await parts.next();
    await parts.next();
    process.kill(running.processId as number, 'SIGKILL');
    expect(await errorOf(collect(parts))).toMatchObject({ code: 'engine_crashed', retryable: true });
    await running.ready();
    expect(textOf(await collect(running.generate(request('after', { maxTokens: 20 }), signal)))).toBe(expected);
  });

  it('replaces a frozen process', async () => {
    const running = start({ stallTimeoutMs: 400 });
    await running.ready();
    const parts = running.generate(request('frozen', { maxTokens: 400 }), signal);
    await parts.next();
    process.kill(running.processId as number, 'SIGSTOP');
    expect(await errorOf(collect(parts))).toMatchObject({ code: 'engine_crashed' });
    await running.ready();
    await collect(running.generate(request('after', { maxTokens: 4 }), signal));
  });

  it('leaves alone a process that reads a long prompt, of which nothing is told before its end', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-engine-'));
    try {
      const model = path.join(folder, 'tiny.gguf');
      await writeTinyModel(model, { architecture: 'llama', seed: 1, contextLength: 8192 });
      const prompt = { tokens: Array.from({ length: 6000 }, (_, index) => 100 + (index % 1000)) };
      const read = async (options: Partial<EmbeddedEngineOptions>) => {
        const running = start({ model, contextLength: 8192, maxBatchSize: 1, ...options });
        await running.ready();
        const parts = await collect(running.generate(request('long', { prompt, maxTokens: 2 }), signal));
        await running.close();
        return parts[0] as PromptEndPart;
      };
      const { prefillMs } = await read({});
      expect(await read({ stallTimeoutMs: prefillMs * 0.6 })).toMatchObject({ type: 'prompt-end', promptTokens: 6000 });
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);

  it('gives a place back when the reader leaves, before the first token and in mid-stream', async () => {
    const running = start({ maxBatchSize: 1 });
    await running.ready();
    const leaving = new AbortController();
    const unread = running.generate(request('unread', { maxTokens: 400 }), leaving.signal);
    const first = unread.next();
    leaving.abort(new AutoglmError('client_closed_request', 'left'));
    expect((await errorOf(first)).code).toBe('client_closed_request');
    for await (const part of running.generate(request('half-read', { maxTokens: 400 }), signal)) {
      if (part.type === 'text-delta') break;
    }
    // The only place is free again, or this would wait for 400 tokens twice.
    const parts = await collect(running.generate(request('next', { maxTokens: 3 }), signal));
    expect(parts[0]).toMatchObject({ type: 'prompt-end' });
    expect((parts[0] as { queueMs: number }).queueMs).toBeLessThan(5000);
  });

  it('goes on with running streams while a long text is counted', async () => {
    const running = start({ contextLength: 8192 });
    await running.ready();
    const leaving = new AbortController();
    const stream = running.generate(
      request('stream', { maxTokens: 8000, sampling: { ...greedySampling, logitBias: { 2: -100 } } }),
      leaving.signal,
    );
    await stream.next();
    const state = { isCounted: false };
    const counted = running
      .countTokens([{ kind: 'text', text: '明天下午三点在国贸店洗车，请帮我预约。'.repeat(20_000) }])
      .finally(() => (state.isCounted = true));
    let parts = 0;
    for (; !state.isCounted; parts += 1) await stream.next();
    expect(parts).toBeGreaterThan(20);
    expect(await counted).toEqual([expect.any(Number)]);
    leaving.abort(new AutoglmError('client_closed_request', 'left'));
    await errorOf(collect(stream));
  });

  it('counts nothing for who has left', async () => {
    const running = start({ contextLength: 8192 });
    await running.ready();
    const leaving = new AbortController();
    const reason = new AutoglmError('client_closed_request', 'left');
    const long = { kind: 'text', text: '明天下午三点在国贸店洗车，请帮我预约。'.repeat(20_000) } as const;
    // What is at its turn is counted to its end; each of the others would take as long.
    const counts = Array.from({ length: 6 }, () => running.countTokens([long], leaving.signal));
    const last = running.countTokens([long]);
    leaving.abort(reason);
    expect(new Set((await Promise.allSettled(counts)).map((count) => count.status === 'rejected' && (count.reason as unknown)))).toEqual(
      new Set([reason]),
    );
    expect(await last).toEqual([expect.any(Number)]);
    expect(running.status.state).toBe('ready');
  });

  it('gives a place back when the request is given up while its reader is busy elsewhere', async () => {
    const running = start({ maxBatchSize: 1, contextLength: 8192 });
    await running.ready();
    const leaving = new AbortController();
    // It does not end by itself.
    const unread = running.generate(
      request('unread', { maxTokens: 8000, sampling: { ...greedySampling, logitBias: { 2: -100 } } }),
      leaving.signal,
    );
    await unread.next();
    leaving.abort(new AutoglmError('client_closed_request', 'left'));
    const parts = await collect(running.generate(request('next', { maxTokens: 2 }), signal));
    expect(parts.at(-1)).toMatchObject({ completionTokens: 2 });
    const { stats } = running;
    expect(stats?.generatedTokens ?? 0).toBeLessThan(4000);
    expect((await errorOf(collect(unread))).code).toBe('client_closed_request');
  });

  it('refuses what cannot be answered and goes on', async () => {
    const running = start({ maxBatchSize: 1, maxQueue: 1 });
    const { vocabularySize } = await running.ready();
    const fails = (changes: Partial<GenerateRequest>) => errorOf(collect(running.generate(request('bad', changes), signal)));
    const tooLong = { segments: [{ kind: 'text', text: '好'.repeat(2000) }] } as const;
    expect(await fails({ prompt: tooLong })).toMatchObject({ code: 'context_length_exceeded' });
    expect(await fails({ prompt: { segments: [{ kind: 'text', text: '好'.repeat(1_000_000) }] } })).toMatchObject({
      code: 'context_length_exceeded',
    });
    expect(await fails({ prompt: { segments: [] } })).toMatchObject({ code: 'invalid_value', param: 'prompt' });
    expect(await fails({ prompt: { tokens: [vocabularySize] } })).toMatchObject({ code: 'invalid_value', param: 'prompt' });
    expect(await fails({ sampling: { ...greedySampling, logitBias: { [vocabularySize]: 1 } } })).toMatchObject({
      code: 'invalid_value',
      param: 'logit_bias',
    });
    const parts = await collect(running.generate(request('good', { maxTokens: 2 }), signal));
    expect(parts.at(-1)).toMatchObject({ completionTokens: 2 });
  });

  it('bounds its queue', async () => {
    const running = start({ maxBatchSize: 1, maxQueue: 2 });
    await running.ready();
    const leaving = new AbortController();
    const all = Array.from({ length: 6 }, (_, index) =>
      collect(running.generate(request(`r${index}`, { maxTokens: 300 }), leaving.signal)).catch((error: AutoglmError) => error.code),
    );
    const refused = await Promise.any(
      all.map(async (outcome) => ((await outcome) === 'queue_full' ? true : Promise.reject(new Error('not refused')))),
    );
    expect(refused).toBe(true);
    leaving.abort(new AutoglmError('client_closed_request', 'left'));
    await Promise.all(all);
    await collect(running.generate(request('next', { maxTokens: 2 }), signal));
  });

  it('stops before a stop string, at a seed gives the same again, and reports logprobs', async () => {
    const running = start();
    await running.ready();
    const whole = textOf(await collect(running.generate(request('whole', { maxTokens: 30 }), signal)));
    const stop = whole.slice(6, 9);
    const parts = await collect(running.generate(request('stopped', { stop: [stop], topLogprobs: 2 }), signal));
    expect(textOf(parts)).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(parts.at(-1)).toMatchObject({ finishReason: 'stop' });
    expect(parts.find((part) => part.type === 'text-delta')?.logprobs?.[0]?.top).toHaveLength(2);
    const sampled = (id: string, seed: number) =>
      collect(running.generate(request(id, { sampling: { ...greedySampling, temperature: 1, seed }, maxTokens: 30 }), signal)).then(textOf);
    const [first, again, other] = await Promise.all([sampled('a', 1), sampled('b', 1), sampled('c', 2)]);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it('says what to do about a file that is no model', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-engine-'));
    try {
      const file = path.join(folder, 'text.gguf');
      await writeFile(file, 'hello');
      expect((await errorOf(start({ model: file }).ready())).message).toMatch(/not a GGUF/);
      await engine?.close();
      await writeFile(file, 'GGUF and then nothing that makes sense');
      expect((await errorOf(start({ model: file }).ready())).message).toMatch(/--model/);
      expect(engine?.status.state).toBe('failed');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('ends running requests when it is closed', async () => {
    const running = start();
    await running.ready();
    const parts = running.generate(request('cut', { maxTokens: 400 }), signal);
    await parts.next();
    await running.close();
    expect((await errorOf(collect(parts))).code).toBe('engine_unavailable');
    expect((await errorOf(collect(running.generate(request('late'), signal)))).code).toBe('engine_unavailable');
  });
});
