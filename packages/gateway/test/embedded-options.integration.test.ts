import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Engine, GeneratePart, GenerateRequest, Lane } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { greedy, somePrompt } from '../../engine/test/support/requests.ts';
import { writeTinyModel } from '../../engine/test/support/tiny-model.ts';
import { embeddedEngine, type EmbeddedModelConfig, type SharingConfig } from '../src/engines/embedded/index.ts';
import { defaultConfig } from '../src/main.ts';

/** Nobody whose request is sent when the first of them has come sees the end of so many tokens. */
const longAnswer = 2000;
const promptLength = 200;
const never = new AbortController().signal;

// What a switch of the configuration file turns off is what `bench` and others compare with: each must reach the engine's process.
describe('an embedded engine', () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-options-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, {
      architecture: 'llama',
      seed: 5,
      type: 'f16',
      vocabulary: 320,
      headLength: 32,
      layers: 1,
      tiedEmbeddings: true,
      contextLength: 8192,
    });
  });
  afterAll(() => rm(folder, { recursive: true }));

  const withEngine = async (
    changes: Partial<EmbeddedModelConfig>,
    lanes: Partial<SharingConfig['lanes']>,
    use: (engine: Engine) => Promise<void>,
  ) => {
    const { model_config: model, admission } = defaultConfig;
    const sharing = { ...admission, preemption_share: 1, lanes: { ...admission.lanes, batch_share_min: 0, ...lanes } };
    const engine = embeddedEngine(
      { ...model, path: file, threads: 1, max_batch_size: 2, context_length: 8192, stream_interval_ms: 0, ...changes },
      sharing,
    );
    try {
      await engine.ready();
      await use(engine);
    } finally {
      await engine.close();
    }
  };
  const request = (id: string, maxTokens: number, lane: Lane = 'realtime', changes: Partial<GenerateRequest> = {}): GenerateRequest => ({
    id,
    prompt: { tokens: somePrompt(promptLength, id.length) },
    sampling: { ...greedy, logitBias: { 2: -100 } },
    maxTokens,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
    standing: { lane, level: 0, rank: 0, expectedTokens: maxTokens },
    ...changes,
  });
  /** How often each lost its place. Each is sent when the one before it has begun. */
  const runEach = async (engine: Engine, [first, ...rest]: readonly GenerateRequest[]): Promise<number[]> => {
    if (!first) return [];
    let others: Promise<number[]> | undefined;
    let suspensions = 0;
    for await (const part of engine.generate(first, never)) {
      if (part.type === 'prompt-end') others = runEach(engine, rest);
      else if (part.type === 'text-end') suspensions = part.suspensions?.count ?? 0;
    }
    return [suspensions, ...((await others) ?? [])];
  };
  const statsAfter = (engine: Engine, tokens: number) =>
    vi.waitFor(
      () => {
        const { stats } = engine;
        return stats?.generatedTokens === tokens ? stats : expect.fail('not reported yet');
      },
      { timeout: 30_000 },
    );

  it.each([true, false])('enable_continuous_batching: %s', async (continuous) => {
    await withEngine({ enable_continuous_batching: continuous }, {}, async (engine) => {
      await runEach(engine, [request('a', longAnswer), request('bb', 3)]);
      const { bounds, counts } = (await statsAfter(engine, longAnswer + 3)).batchSize;
      expect((counts[bounds.indexOf(2)] as number) > 0).toBe(continuous);
    });
  });

  it.each([
    ['paged', 192],
    ['static', 0],
  ] as const)('kv_cache_strategy: %s', async (strategy, cachedTokens) => {
    await withEngine({ kv_cache_strategy: strategy }, {}, async (engine) => {
      const ask = async (id: string) =>
        (await Array.fromAsync(engine.generate(request(id, 1), never)))[0] as Extract<GeneratePart, { type: 'prompt-end' }>;
      expect((await ask('a')).cachedTokens).toBe(0);
      expect((await ask('b')).cachedTokens).toBe(cachedTokens);
    });
  });

  it.each(['prompt_lookup', 'none'] as const)('speculation: %s', async (speculation) => {
    await withEngine({ speculation }, {}, async (engine) => {
      await Array.fromAsync(engine.generate(request('a', 40), never));
      const { drafts } = await statsAfter(engine, 40);
      expect(drafts !== undefined).toBe(speculation === 'prompt_lookup');
    });
  });

  it.each([
    ['preemption', 1],
    ['time_slice', 0],
  ] as const)('admission.lanes.batch_yields: %s', async (batchYields, count) => {
    await withEngine({ max_batch_size: 1 }, { batch_yields: batchYields }, async (engine) => {
      expect(await runEach(engine, [request('a', longAnswer, 'batch'), request('bb', 3)])).toEqual([count, 0]);
    });
  });
});
