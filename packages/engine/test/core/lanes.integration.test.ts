import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Lane, Standing } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type CoreLimits, type LoadedModel } from '../../src/core.ts';
import { defaultSharing } from '../../src/scheduler/standing.ts';
import { openTestModel } from '../support/default-model.ts';
import { runAll, somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const maxBatchSize = 4;
const limits: CoreLimits = {
  maxBatchSize,
  stepTokenBudget: 128,
  maxChunk: 512,
  continuous: true,
  maxQueue: 64,
  sharing: { ...defaultSharing, batchShareMin: 0.25 },
};
const standing = (lane: Lane, changes: Partial<Standing> = {}): Standing => ({ lane, level: 0, rank: 0, expectedTokens: 60, ...changes });

describe('lanes in the core', () => {
  let folder: string;
  let model: LoadedModel;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-lanes-'));
    const file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
    const opened = openTestModel(file, {
      contextLength: 1024,
      maxBatchSize,
      kvCache: { strategy: 'paged', type: 'f16', maxBytes: 200 * 64 * 256 * 2 },
    });
    model = { ...opened, vocabulary: { ...opened.vocabulary, endsGeneration: () => false } };
  });
  afterAll(async () => {
    model.close();
    await rm(folder, { recursive: true });
  });

  const batch = (index: number, tokens = 60) =>
    tokenRequest(`batch-${index}`, somePrompt(100, 10 + index), tokens, { standing: standing('batch', { expectedTokens: tokens }) });
  const realtime = (index: number, changes: Partial<Standing> = {}) =>
    tokenRequest(`realtime-${index}`, somePrompt(70, 50 + index), 20, {
      standing: standing('realtime', { expectedTokens: 20, ...changes }),
    });
  const run = (own: CoreLimits, add: (core: EngineCore, step: number) => void) => {
    const core = new EngineCore(model, own);
    const firsts = new Map<string, number>();
    const suspensions = new Map<string, number>();
    let step = 0;
    const watched = {
      add: (...request: Parameters<EngineCore['add']>) => core.add(...request),
      get idle() {
        return core.idle;
      },
      step() {
        const outputs = core.step();
        for (const { id, part } of outputs) {
          if (part.type === 'prompt-end') firsts.set(id, step);
          if (part.type === 'text-end' && part.suspensions) suspensions.set(id, part.suspensions.count);
        }
        step += 1;
        return outputs;
      },
    };
    const answers = runAll(watched as unknown as EngineCore, (at) => add(core, at));
    return { answers, firsts, suspensions, core };
  };
  const alone = (request: ReturnType<typeof tokenRequest>) =>
    run({ ...limits }, (core, step) => step === 0 && core.add(request)).answers.get(request.id)?.text;

  it('real time takes the places of batch, which goes on later with the same answers', () => {
    const { answers, firsts, suspensions, core } = run(limits, (engine, step) => {
      if (step === 0) for (let index = 0; index < 6; index += 1) engine.add(batch(index));
      if (step === 10) for (let index = 0; index < 3; index += 1) engine.add(realtime(index));
    });
    for (let index = 0; index < 3; index += 1) expect(firsts.get(`realtime-${index}`)).toBeLessThanOrEqual(13);
    expect([...suspensions.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(3);
    expect(core.stats().suspensions).toBeGreaterThanOrEqual(3);
    for (let index = 0; index < 6; index += 1) expect([index, answers.get(`batch-${index}`)?.text]).toEqual([index, alone(batch(index))]);
    for (let index = 0; index < 3; index += 1) expect(answers.get(`realtime-${index}`)?.text).toBe(alone(realtime(index)));
  });

  it('batch keeps its share of places under a flood of real time', () => {
    const { answers } = run(limits, (engine, step) => {
      if (step === 0) engine.add(batch(0));
      if (step < 200 && step % 4 === 0) for (let index = 0; index < 2; index += 1) engine.add(realtime(step + index));
    });
    expect(answers.get('batch-0')?.endStep).toBeLessThan(75);
  });

  it('choices of one prompt leave batch the places that it keeps', () => {
    const choices = Array.from({ length: maxBatchSize }, (_, index) =>
      tokenRequest(`choice-${index}`, somePrompt(70, 50), 20, { standing: standing('realtime', { expectedTokens: 20 }) }),
    );
    const { answers, firsts } = run(limits, (engine, step) => {
      if (step === 0) for (const request of [...choices, batch(0)]) engine.add(request);
    });
    expect(firsts.get('batch-0')).toBe(0);
    expect(choices.map(({ id }) => firsts.get(id) === 0)).toEqual([true, true, true, false]);
    expect(new Set(choices.map(({ id }) => answers.get(id)?.text)).size).toBe(1);
  });

  it('with time slices, batch keeps its places but decodes in its share of the steps', () => {
    const slices: CoreLimits = { ...limits, sharing: { ...defaultSharing, batchYields: 'time_slice', batchShareMin: 0.25 } };
    const { answers, suspensions } = run(slices, (engine, step) => {
      if (step === 0) for (let index = 0; index < 2; index += 1) engine.add(batch(index, 40));
      if (step === 5) engine.add(tokenRequest('long', somePrompt(70, 77), 200, { standing: standing('realtime') }));
    });
    expect(suspensions.size).toBe(0);
    expect(answers.get('long')?.endStep).toBeLessThan(212);
    const [first] = [answers.get('batch-0')?.endStep as number];
    expect(first).toBeGreaterThan(100);
    expect(first).toBeLessThan(190);
    for (let index = 0; index < 2; index += 1) expect(answers.get(`batch-${index}`)?.text).toBe(alone(batch(index, 40)));
  });

  it('the next to join is the one of the lowest level and rank', () => {
    const one: CoreLimits = { ...limits, maxBatchSize: 1 };
    const { firsts } = run(one, (engine, step) => {
      if (step !== 0) return;
      engine.add(realtime(0));
      for (const [index, level, rank] of [
        [1, 3, 0],
        [2, 1, 9],
        [3, 1, 2],
      ] as const)
        engine.add(realtime(index, { level, rank }));
    });
    expect([...firsts].sort((a, b) => a[1] - b[1]).map(([id]) => id)).toEqual(['realtime-0', 'realtime-3', 'realtime-2', 'realtime-1']);
  });

  it('a much shorter one takes the place of one that has only begun', () => {
    const one: CoreLimits = { ...limits, maxBatchSize: 1 };
    const { firsts, suspensions, answers } = run(one, (engine, step) => {
      if (step === 0) engine.add(realtime(0, { level: 9, expectedTokens: 20 }));
      if (step === 4) engine.add(realtime(1, { level: 2 }));
      if (step === 5) engine.add(realtime(2, { level: 1 }));
    });
    expect(firsts.get('realtime-1')).toBe(4);
    expect(suspensions.get('realtime-0')).toBe(1);
    expect(suspensions.has('realtime-1')).toBe(false);
    expect(answers.get('realtime-0')?.text).toBe(alone(realtime(0)));
  });

  it('one that gave its place away and is left is forgotten', () => {
    const { answers, core } = run(limits, (engine, step) => {
      if (step === 0) for (let index = 0; index < 4; index += 1) engine.add(batch(index));
      if (step === 10) for (let index = 0; index < 3; index += 1) engine.add(realtime(index));
      if (step === 12) for (let index = 0; index < 4; index += 1) engine.abort(`batch-${index}`);
    });
    expect([...answers.values()].filter(({ isEnded }) => isEnded)).toHaveLength(3);
    expect([core.idle, core.stats().kvUsedTokens]).toEqual([true, 0]);
  });

  it('a batch that runs to its end is filled first, and joined by nobody', () => {
    const { answers, core } = run({ ...limits, continuous: false }, (engine, step) => {
      if (step === 0) for (let index = 0; index < 6; index += 1) engine.add(tokenRequest(`s${index}`, somePrompt(100, index), 30));
    });
    const ends = Array.from({ length: 6 }, (_, index) => answers.get(`s${index}`)?.endStep as number);
    expect(Math.min(...ends.slice(4))).toBeGreaterThan(Math.max(...ends.slice(0, 4)) + 20);
    expect(core.stats().batchSize.counts[2]).toBeGreaterThan(20);
  });
});
