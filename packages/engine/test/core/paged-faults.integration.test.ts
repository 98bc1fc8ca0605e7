import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { GenerateRequest } from '@open-autoglm/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type CoreLimits, type LoadedModel, type ModelOptions } from '../../src/core.ts';
import type { KvCache } from '../../src/kv-cache/kv-cache.ts';
import { openVirtualMemory, OutOfMemoryError } from '../../src/kv-cache/virtual-memory.ts';
import { createRandom } from '../../src/sampler/random.ts';
import { openTestModel } from '../support/default-model.ts';
import { runAll, somePrompt, tokenRequest, type Answer } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

setFlagsFromString('--expose-gc');
const collectAll = runInNewContext('gc') as (how: {
  readonly type: 'major';
  readonly execution: 'sync';
  readonly flavor: 'last-resort';
}) => void;

const limits: CoreLimits = { maxBatchSize: 6, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 100 };
/** Of keys and values of 64 tokens: two heads of 32 elements each, in two layers. */
const blockBytes = 64 * 256 * 2;

describe('with little memory for keys and values', () => {
  let folder: string;
  let file: string;
  let model: LoadedModel;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-faults-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'q8_0', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
  });
  afterEach(() => model.close());
  afterAll(() => rm(folder, { recursive: true }));

  const suspended: string[] = [];
  const open = (blocks: number, options: Partial<ModelOptions> = {}) => {
    suspended.length = 0;
    const opened = openTestModel(file, {
      contextLength: 1024,
      maxBatchSize: 6,
      kvCache: { strategy: 'paged', type: 'f16', maxBytes: blocks * blockBytes },
      ...options,
    });
    const cache = Object.create(opened.cache, {
      suspend: {
        value: (sequence: string, ...rest: [Int32Array, number]) => {
          suspended.push(sequence);
          opened.cache.suspend(sequence, ...rest);
        },
      },
    }) as KvCache;
    // Random weights would end an answer at any time.
    model = { ...opened, cache, vocabulary: { ...opened.vocabulary, endsGeneration: () => false } };
    return model;
  };
  const run = (requests: readonly GenerateRequest[], otherLimits: Partial<CoreLimits> = {}) => {
    const core = new EngineCore(model, { ...limits, ...otherLimits });
    return runAll(core, (step) => step === 0 && requests.forEach((request) => core.add(request)));
  };
  const textsOf = (answers: ReadonlyMap<string, Answer>) => new Map([...answers].map(([id, { text }]) => [id, text] as const));
  /** Their answers alone, with memory for all. */
  const expectedOf = (requests: readonly GenerateRequest[]) => {
    open(200);
    const texts = textsOf(run(requests));
    model.close();
    return texts;
  };
  const expectNothingHeld = () => {
    const { usedTokens, capacityTokens } = model.cache.usage;
    expect(usedTokens).toBe(0);
    // All of it can be had by one that asks for all of it.
    const all = Math.min(capacityTokens, model.info.contextLength);
    expect(
      model.cache.acquire({ sequence: 'all', tokens: new Int32Array(all - 1), promptLength: 1, scope: 'nobody', spareTokens: 0 }),
    ).toBe(0);
    model.cache.release('all');
  };

  it('answers all, and alike, when sequences must give their memory away in the middle', () => {
    const requests = Array.from({ length: 8 }, (_, index) => tokenRequest(`r${index}`, somePrompt(40 + 13 * index, index), 150));
    const expected = expectedOf(requests);
    open(9);
    const answers = run(requests);
    expect(textsOf(answers)).toEqual(expected);
    expect(suspended.length).toBeGreaterThan(3);
    // Never the oldest.
    expect(suspended).not.toContain('r0');
    expect(Math.min(...[...answers.values()].map(({ endStep }) => endStep))).toBe(answers.get('r0')?.endStep);
    expectNothingHeld();
  });

  it('answers one after the other with memory for one sequence only, and refuses what cannot fit', () => {
    const requests = Array.from({ length: 4 }, (_, index) => tokenRequest(`r${index}`, somePrompt(150 + index, index), 100));
    const expected = expectedOf(requests);
    open(4);
    expect(model.info.contextLength).toBe(256);
    expect(model.notice).toMatch(/room for 256 tokens.*kv_cache_bytes/);
    expect(textsOf(run(requests))).toEqual(expected);
    expectNothingHeld();
    const core = new EngineCore(model, limits);
    expect(() => core.add(tokenRequest('long', somePrompt(256), 1))).toThrow(/256 tokens/);
    expect(core.idle).toBe(true);
  });

  it('answers alike whatever arrives when, and never hangs', () => {
    const random = createRandom(3);
    const upTo = (bound: number) => 1 + Math.floor(random() * bound);
    for (let round = 0; round < 6; round += 1) {
      const shared = somePrompt(upTo(200), round);
      const requests = Array.from({ length: 10 }, (_, index) =>
        tokenRequest(`r${index}`, [...(random() < 0.5 ? shared : []), ...somePrompt(upTo(100), 50 + index)], upTo(120)),
      );
      const arrivals = requests.map(() => Math.floor(random() * 60));
      const expected = expectedOf(requests);
      open(6 + upTo(8));
      const core = new EngineCore(model, limits);
      const answers = runAll(
        core,
        (step) => {
          for (const [index, request] of requests.entries()) if (arrivals[index] === step) core.add(request);
        },
        4000,
        60,
      );
      expect(textsOf(answers)).toEqual(expected);
      expectNothingHeld();
      if (round < 5) model.close();
    }
  });

  it('lets go of one that is cancelled while its prompt is read', () => {
    const other = tokenRequest('other', somePrompt(70, 1), 60);
    const expected = expectedOf([other]);
    open(30);
    const core = new EngineCore(model, limits);
    const answers = runAll(core, (step) => {
      if (step === 0) core.add(other);
      if (step === 2) core.add(tokenRequest('cancelled', somePrompt(900, 2), 10));
      if (step === 4) {
        expect(core.stats()).toMatchObject({ running: 2, waiting: 0 });
        core.abort('cancelled');
        expect(core.stats().running).toBe(1);
      }
    });
    expect(answers.has('cancelled')).toBe(false);
    expect(textsOf(answers)).toEqual(expected);
    expectNothingHeld();
  });

  it('lets go of one that is cancelled after it gave its memory away', () => {
    const requests = Array.from({ length: 4 }, (_, index) => tokenRequest(`r${index}`, somePrompt(60, index), 150));
    const expected = expectedOf(requests);
    open(6);
    const core = new EngineCore(model, limits);
    let cancelled: string | undefined;
    const answers = runAll(core, (step) => {
      if (step === 0) for (const request of requests) core.add(request);
      if (cancelled === undefined && suspended[0] !== undefined) core.abort((cancelled = suspended[0]));
    });
    const ended = [...answers].filter(([, { isEnded }]) => isEnded).map(([id]) => id);
    expect(ended.toSorted()).toEqual(requests.map(({ id }) => id).filter((id) => id !== cancelled));
    for (const id of ended) expect(answers.get(id)?.text).toBe(expected.get(id));
    expectNothingHeld();
  });

  it('answers alike when the system refuses memory at any call while others run', () => {
    // Three at a time begin alike, and read that beside each other.
    const requests = Array.from({ length: 12 }, (_, index) =>
      tokenRequest(`r${index}`, [...somePrompt(200, Math.floor(index / 3)), ...somePrompt(10 + 29 * (index % 3), index)], 40 + 9 * index),
    );
    const expected = expectedOf(requests);
    for (let seed = 0; seed < 4; seed += 1) {
      const random = createRandom(seed);
      const real = openVirtualMemory();
      let core: EngineCore | undefined;
      let refusals = 0;
      const orRefuse =
        <A extends unknown[]>(call: (...args: A) => void) =>
        (...args: A) => {
          // Of the last one that runs a refusal is the end.
          if (core && core.stats().running > 1 && random() < 0.15) {
            refusals += 1;
            throw new OutOfMemoryError('mmap: ENOMEM');
          }
          call(...args);
        };
      open(80, {
        openMemory: () => ({ ...real, allocate: orRefuse(real.allocate), map: orRefuse(real.map), unmap: orRefuse(real.unmap) }),
      });
      core = new EngineCore(model, limits);
      const engine = core;
      const answers = runAll(
        engine,
        (step) => {
          if (step % 9 === 0) for (const request of requests.slice(step / 3, step / 3 + 3)) engine.add(request);
        },
        4000,
        3 * requests.length,
      );
      core = undefined;
      expect(textsOf(answers)).toEqual(expected);
      expect(refusals).toBeGreaterThan(10);
      expectNothingHeld();
      if (seed < 3) model.close();
    }
  });

  it('tries who waits for memory again when some was given back, not when somebody leaves who held none', () => {
    const opened = open(8);
    let tries = 0;
    const cache = Object.create(opened.cache, {
      acquire: {
        value: (...args: Parameters<KvCache['acquire']>) => {
          tries += 1;
          return opened.cache.acquire(...args);
        },
      },
    }) as KvCache;
    const core = new EngineCore({ ...opened, cache }, limits);
    const add = (id: string, promptLength: number) => core.add(tokenRequest(id, somePrompt(promptLength, promptLength), 60));
    add('runs', 300);
    core.step();
    add('large', 400);
    add('small', 20);
    add('other', 30);
    core.step();
    expect([tries, core.stats().running]).toEqual([2, 1]);
    core.abort('other');
    core.abort('nobody');
    core.step();
    expect([tries, core.stats().running]).toEqual([2, 1]);
    core.abort('large');
    core.step();
    expect([tries, core.stats().running]).toEqual([3, 2]);
    core.abort('runs');
    core.abort('small');
    expectNothingHeld();
  });

  it('never shares between tenants, unless it is told to', () => {
    open(40);
    const prompt = somePrompt(300, 1);
    const from = (cacheScope: string, id: string) => tokenRequest(id, prompt, 5, { cacheScope });
    const cachedOf = (isShared: boolean, ids: readonly string[]) => {
      const core = new EngineCore(model, { ...limits, isSharedBetweenScopes: isShared });
      return ids.map((id) => runAll(core, (step) => step === 0 && core.add(from(id.split('-')[0] as string, id))).get(id)?.cachedTokens);
    };
    expect(cachedOf(false, ['a-1', 'b-1', 'a-2', 'b-2'])).toEqual([0, 0, 256, 256]);
    expect(cachedOf(true, ['a-3', 'b-3'])).toEqual([0, 256]);
  });

  it('computes the prompt of several choices once, and each chooses for itself', () => {
    const sampling = { ...tokenRequest('', [], 1).sampling, temperature: 1 };
    const choices = Array.from({ length: 4 }, (_, seed) =>
      tokenRequest(`c${seed}`, somePrompt(200, 1), 30, { sampling: { ...sampling, seed } }),
    );
    const alone = new Map<string, string>();
    for (const choice of choices) {
      open(100);
      alone.set(choice.id, run([choice]).get(choice.id)?.text as string);
      model.close();
    }
    open(100);
    const answers = run(choices);
    expect([...answers.values()].map(({ cachedTokens }) => cachedTokens)).toEqual([0, 200, 200, 200]);
    expect(textsOf(answers)).toEqual(alone);
    expect(new Set(alone.values()).size).toBe(4);
    expectNothingHeld();
  });

  it('gives a running stream a token at each step while a long prompt is read, and no step reads more than its budget', () => {
    open(40);
    const reads: number[] = [];
    const runner = Object.create(model.runner, {
      prefill: {
        value: (...args: Parameters<LoadedModel['runner']['prefill']>) => {
          reads.push(args[1].length);
          return model.runner.prefill(...args);
        },
      },
      decode: { value: (...args: Parameters<LoadedModel['runner']['decode']>) => model.runner.decode(...args) },
    }) as LoadedModel['runner'];
    // By a clock that stands still nothing costs more than anything else.
    const core = new EngineCore({ ...model, runner }, limits, () => 0);
    core.add(tokenRequest('stream', somePrompt(20, 1), 200));
    core.step();
    core.add(tokenRequest('long', somePrompt(900, 2), 1));
    let steps = 0;
    for (let hasEnded = false; !hasEnded; steps += 1) {
      reads.length = 0;
      const outputs = core.step();
      expect(outputs.filter(({ id }) => id === 'stream').map(({ part }) => part.type)).toEqual(['text-delta']);
      expect(reads.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(limits.stepTokenBudget);
      hasEnded = outputs.some(({ id, part }) => id === 'long' && part.type === 'text-end');
    }
    // 64 tokens beside each token of the stream: what is left of the budget, cut at a multiple of 64.
    expect(steps).toBe(14);
    core.abort('stream');
  });

  it('has every block back after 10,000 short requests, and grows no more', () => {
    open(60);
    const core = new EngineCore(model, { ...limits, maxQueue: 1000 });
    const total = 10_000;
    const settled = 3000;
    let before = NaN;
    for (let added = 0; added < total || !core.idle; core.step()) {
      for (; added < total && core.stats().waiting < 6; added += 1) {
        core.add(
          tokenRequest(`r${added}`, somePrompt(10 * (1 + (added % 8)), added % 700), 1 + (added % 3), {
            cacheScope: `tenant ${added % 5}`,
          }),
        );
        if (added % 7 === 0) core.abort(`r${added - 3}`);
        if (added === settled) before = residentBytes();
      }
    }
    expectNothingHeld();
    expect(model.cache.committedBytes).toBe(60 * blockBytes);
    // One block lost with each request would be 230 MB.
    expect(residentBytes() - before).toBeLessThan(32 * 2 ** 20);
  });
});

/** Without what JavaScript has left behind, and without the space for new objects, which V8 makes as large as 128 MiB. */
function residentBytes(): number {
  collectAll({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  return process.memoryUsage.rss();
}
