import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ContextStrategy, GenerateRequest } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type CoreLimits, type LoadedModel } from '../../src/core.ts';
import type { KvCache } from '../../src/kv-cache/kv-cache.ts';
import type { KvCacheOptions } from '../../src/kv-cache/open-kv-cache.ts';
import { createRandom } from '../../src/sampler/random.ts';
import { openTestModel } from '../support/default-model.ts';
import { greedy, runAll, somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const limits: CoreLimits = { maxBatchSize: 6, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 100 };
const eager: CoreLimits = { ...limits, stepCosts: { costOf: () => 1, observe: () => undefined } };
const window: ContextStrategy = { kind: 'window', sinks: 64, window: 256 };
const attention: ContextStrategy = { kind: 'attention', sinks: 64, window: 448 };
/** Two layers, two heads of 32 elements for keys and for values, f16. */
const blockBytes = 64 * 256 * 2;

describe('with a context strategy', () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-context-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
  });
  afterAll(() => rm(folder, { recursive: true }));

  let dropped: { readonly sequence: string; readonly places: readonly number[]; readonly rows: number }[] = [];
  let suspendedAfterDrop = new Set<string>();
  const withModel = <T>(kvCache: KvCacheOptions, use: (model: LoadedModel) => T): T => {
    const model = openTestModel(file, { contextLength: 1024, maxBatchSize: 6, kvCache });
    dropped = [];
    suspendedAfterDrop = new Set();
    const cache = Object.create(model.cache, {
      drop: {
        value: (sequence: string, places: readonly number[], rows: number) => {
          dropped.push({ sequence, places, rows });
          return model.cache.drop(sequence, places, rows);
        },
      },
      suspend: {
        value: (sequence: string, ...rest: [Int32Array, number]) => {
          if (dropped.some((drop) => drop.sequence === sequence)) suspendedAfterDrop.add(sequence);
          model.cache.suspend(sequence, ...rest);
        },
      },
    }) as KvCache;
    try {
      // Random weights would end an answer at any time.
      const got = use({ ...model, cache, vocabulary: { ...model.vocabulary, endsGeneration: () => false } });
      expect(model.cache.usage.usedTokens).toBe(0);
      return got;
    } finally {
      model.close();
    }
  };
  const textsOf = (
    model: LoadedModel,
    requests: readonly GenerateRequest[],
    { at = () => 0, coreLimits = limits }: { at?: (index: number) => number; coreLimits?: CoreLimits } = {},
  ) => {
    const core = new EngineCore(model, coreLimits);
    const answers = runAll(core, (step) => requests.forEach((request, index) => at(index) === step && core.add(request)), 20_000, 60);
    return new Map([...answers].map(([id, { text }]) => [id, text] as const));
  };
  const alone = (requests: readonly GenerateRequest[], kvCache: KvCacheOptions = { strategy: 'static', type: 'f16' }) =>
    new Map(requests.map((request) => [request.id, withModel(kvCache, (model) => textsOf(model, [request]).get(request.id))] as const));

  it('changes no bit of an answer from which nothing was dropped', () => {
    const request = tokenRequest('a', somePrompt(300, 1), 200, { topLogprobs: 3 });
    const parts = (contextStrategy: ContextStrategy) =>
      withModel({ strategy: 'paged', type: 'f16' }, (model) => {
        const core = new EngineCore(model, limits);
        core.add({ ...request, contextStrategy });
        const got: unknown[] = [];
        while (!core.idle) for (const { part } of core.step()) if (part.type === 'text-delta') got.push([part.text, part.logprobs]);
        return got;
      });
    const plain = parts({ kind: 'full' });
    for (const kind of ['window', 'attention'] as const) {
      expect(parts({ kind, sinks: 64, window: 448 })).toEqual(plain);
      expect(dropped).toEqual([]);
    }
  });

  it('reads and answers beyond the context, which ends it without', () => {
    withModel({ strategy: 'paged', type: 'f16' }, (model) => {
      const core = new EngineCore(model, limits);
      expect(() => core.add(tokenRequest('long', somePrompt(1500), 5))).toThrow(/1500 tokens/);
      core.add(tokenRequest('full', somePrompt(900), 500));
      core.add(tokenRequest('long', somePrompt(1500), 5, { contextStrategy: { kind: 'window' } }));
      core.add(tokenRequest('window', somePrompt(900), 500, { contextStrategy: { kind: 'window' } }));
      const counts = new Map<string, readonly [string, number]>();
      while (!core.idle)
        for (const { id, part } of core.step()) if (part.type === 'text-end') counts.set(id, [part.finishReason, part.completionTokens]);
      expect(Object.fromEntries(counts)).toEqual({ full: ['length', 124], long: ['length', 5], window: ['length', 500] });
    });
    // Without a limit of its own an answer is no longer than the context.
    withModel({ strategy: 'static', type: 'f16' }, (model) => {
      const core = new EngineCore(model, { ...limits, contextStrategy: window });
      core.add({ ...tokenRequest('endless', somePrompt(10), 0), maxTokens: undefined });
      let count = 0;
      while (!core.idle) for (const { part } of core.step()) if (part.type === 'text-end') count = part.completionTokens;
      expect(count).toBe(1024);
      expect(dropped.length).toBeGreaterThan(5);
    });
  });

  for (const strategy of [window, attention]) {
    it(`answers alike alone and in company, static and paged, drafted: ${strategy.kind}`, () => {
      const shared = somePrompt(400, 9);
      const requests = [
        tokenRequest('grows', somePrompt(100, 1), 700, { contextStrategy: strategy }),
        tokenRequest('long', [...shared, ...somePrompt(420, 2)], 150, { contextStrategy: strategy }),
        tokenRequest('again', [...shared, ...somePrompt(420, 2)], 180, {
          contextStrategy: strategy,
          sampling: { ...greedy, temperature: 0.7, seed: 4 },
        }),
        tokenRequest('plain', [...shared, ...somePrompt(200, 3)], 90),
        tokenRequest('longest', [...shared, ...somePrompt(1100, 4)], 60, { contextStrategy: strategy }),
      ];
      const expected = alone(requests);
      const random = createRandom(8);
      for (const [memory, coreLimits] of [
        [200, limits],
        [200, eager],
        [17, limits],
        [16, eager],
        [16, { ...limits, stepTokenBudget: 300 }],
      ] as const) {
        const arrivals = requests.map(() => Math.floor(random() * 40));
        const kvCache: KvCacheOptions = { strategy: 'paged', type: 'f16', maxBytes: memory * blockBytes };
        const texts = withModel(kvCache, (model) => textsOf(model, requests, { at: (index) => arrivals[index] as number, coreLimits }));
        for (const { id } of requests) expect([memory, id, texts.get(id)]).toEqual([memory, id, expected.get(id)]);
        expect(new Set(dropped.map(({ sequence }) => sequence))).toEqual(new Set(['grows', 'long', 'again', 'longest']));
      }
    });
  }

  it.each([window, attention])('keeps the same blocks again after it lost its place: %j', (contextStrategy) => {
    const requests = [tokenRequest('oldest', somePrompt(10, 1), 950), tokenRequest('young', somePrompt(600, 2), 900, { contextStrategy })];
    const expected = alone(requests);
    for (const coreLimits of [limits, eager]) {
      const kvCache: KvCacheOptions = { strategy: 'paged', type: 'f16', maxBytes: 17 * blockBytes };
      expect(withModel(kvCache, (model) => textsOf(model, requests, { coreLimits }))).toEqual(expected);
      expect(suspendedAfterDrop).toEqual(new Set(['young']));
    }
  });

  it('drops in q8_0 alike in both strategies', () => {
    const requests = [
      tokenRequest('a', somePrompt(700, 1), 300, { contextStrategy: window }),
      tokenRequest('b', somePrompt(80, 2), 500, { contextStrategy: attention }),
    ];
    const expected = alone(requests, { strategy: 'static', type: 'q8_0' });
    expect(withModel({ strategy: 'paged', type: 'q8_0' }, (model) => textsOf(model, requests))).toEqual(expected);
    expect(dropped.length).toBeGreaterThan(2);
  });

  it('never finds for others, nor for the next turn, what was computed without what was dropped', () => {
    const prompt = somePrompt(600, 1);
    const first = tokenRequest('first', prompt, 120, { contextStrategy: window });
    const next = tokenRequest('next', [...prompt, ...somePrompt(90, 2)], 60);
    const expected = alone([next]).get('next');
    withModel({ strategy: 'paged', type: 'f16' }, (model) => {
      const core = new EngineCore(model, limits);
      const said = runAll(core, (step) => step === 0 && core.add(first)).get('first')?.text;
      // The first blocks, which were read as any prompt, are found; what stood in the window is not.
      const answer = runAll(core, (step) => step === 0 && core.add(next)).get('next');
      expect({ text: answer?.text, cached: answer?.cachedTokens }).toEqual({ text: expected, cached: 256 });
      // And the other way: what was computed whole is used only as far as it is computed alike.
      const again = runAll(core, (step) => step === 0 && core.add({ ...first, id: 'again' })).get('again');
      expect({ text: again?.text, cached: again?.cachedTokens }).toEqual({ text: said, cached: 256 });
    });
  });

  it('gives the choices of one request the same beginning', () => {
    const requests = [1, 2, 3].map((seed) =>
      tokenRequest(`c${seed}`, somePrompt(700, 1), 150, { contextStrategy: attention, sampling: { ...greedy, temperature: 0.8, seed } }),
    );
    const expected = alone(requests);
    for (const strategy of ['static', 'paged'] as const)
      expect(withModel({ strategy, type: 'f16' }, (model) => textsOf(model, requests))).toEqual(expected);
  });

  it('comes back when the system refused a drop while nothing else ran', () => {
    const request = tokenRequest('alone', somePrompt(700, 1), 60, { contextStrategy: window });
    const expected = alone([request]);
    withModel({ strategy: 'paged', type: 'f16' }, (model) => {
      let refusals = 1;
      const cache = Object.create(model.cache, {
        drop: {
          value: (sequence: string, places: readonly number[], rows: number) => {
            if (refusals === 0) return model.cache.drop(sequence, places, rows);
            refusals -= 1;
            // As the cache does when the system has no memory in the middle of it.
            model.cache.release(sequence);
            return 'lost';
          },
        },
      }) as KvCache;
      expect(textsOf({ ...model, cache }, [request])).toEqual(expected);
      expect(refusals).toBe(0);
    });
  });

  it('lets go of all that a sequence holds when it is aborted after a drop', () => {
    withModel({ strategy: 'paged', type: 'f16' }, (model) => {
      const core = new EngineCore(model, limits);
      core.add(tokenRequest('reading', somePrompt(3000, 1), 10, { contextStrategy: attention }));
      core.add(tokenRequest('writing', somePrompt(10, 2), 900, { contextStrategy: window }));
      while (new Set(dropped.map(({ sequence }) => sequence)).size < 2) core.step();
      core.abort('reading');
      core.abort('writing');
      expect(core.idle).toBe(true);
    });
  });

  it.each<readonly [ContextStrategy, string]>([
    [{ kind: 'window', sinks: -1 }, 'autoglm.context_strategy.sinks'],
    [{ kind: 'window', sinks: 1000 }, 'autoglm.context_strategy.sinks'],
    [{ kind: 'attention', window: 255 }, 'autoglm.context_strategy.window'],
    [{ kind: 'attention', window: 1.5 }, 'autoglm.context_strategy.window'],
    [{ kind: 'window', sinks: 64, window: 961 }, 'autoglm.context_strategy.window'],
  ])('refuses %j by its field', (contextStrategy, param) => {
    withModel({ strategy: 'static', type: 'f16' }, (model) => {
      const core = new EngineCore(model, limits);
      expect(() => core.add(tokenRequest('a', [5], 1, { contextStrategy }))).toThrow(
        expect.objectContaining({ code: 'invalid_value', param }),
      );
      expect(() => new EngineCore(model, { ...limits, contextStrategy })).toThrow(
        expect.objectContaining({ param: param.replace('autoglm', 'model_config') }),
      );
    });
  });
});
