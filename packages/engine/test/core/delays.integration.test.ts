import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { EngineDelays } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type CoreLimits, type LoadedModel } from '../../src/core.ts';
import { defaultSharing } from '../../src/scheduler/standing.ts';
import { openTestModel } from '../support/default-model.ts';
import { somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const limits = { maxBatchSize: 4, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 64 };

describe('what a sequence is told of its time', () => {
  let folder: string;
  let model: LoadedModel;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-delays-'));
    const file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
    const opened = openTestModel(file, { contextLength: 1024, maxBatchSize: 4, kvCache: { strategy: 'static', type: 'f16' } });
    model = { ...opened, vocabulary: { ...opened.vocabulary, endsGeneration: () => false } };
  });
  afterAll(async () => {
    model.close();
    await rm(folder, { recursive: true });
  });

  /** By a clock that goes on by `tickMs` whenever it is looked at, and a collector that stops the engine for 7 ms in the given step. */
  function run(
    add: (core: EngineCore, step: number) => void,
    {
      own = {},
      tickMs = () => 1,
      collectsAt = -1,
    }: { own?: Partial<CoreLimits>; tickMs?: (running: number) => number; collectsAt?: number } = {},
  ) {
    let nowMs = 0;
    let gcMs = 0;
    let running = 0;
    const core: EngineCore = new EngineCore(
      model,
      { ...limits, ...own },
      () => (nowMs += tickMs(running)),
      () => gcMs,
    );
    const told = new Map<
      string,
      { prompt?: EngineDelays | undefined; decode?: EngineDelays | undefined; suspensions?: number | undefined }
    >();
    add(core, 0);
    for (let step = 1; !core.idle; step += 1) {
      ({ running } = core.stats());
      if (step === collectsAt) gcMs += 7;
      for (const { id, part } of core.step()) {
        if (part.type === 'prompt-end') told.set(id, { prompt: part.delays });
        if (part.type === 'text-end') told.set(id, { ...told.get(id), decode: part.delays, suspensions: part.suspensions?.count });
      }
      add(core, step);
    }
    return told;
  }

  it('alone: nothing was for others', () => {
    const told = run((core, step) => step === 0 && core.add(tokenRequest('a', somePrompt(300, 1), 20, {})));
    expect(told.get('a')).toMatchObject({
      prompt: { promptsMs: 0, sharingMs: 0, gcMs: 0 },
      decode: { promptsMs: 0, sharingMs: 0, gcMs: 0 },
    });
  });

  it('while it had no place: nothing, and of its own prompt read again neither', () => {
    const standing = { level: 0, rank: 0, expectedTokens: 60 } as const;
    const told = run(
      (core, step) => {
        if (step === 0) core.add(tokenRequest('batch', somePrompt(100, 1), 60, { standing: { ...standing, lane: 'batch' } }));
        if (step === 10) core.add(tokenRequest('realtime', somePrompt(300, 2), 20, { standing: { ...standing, lane: 'realtime' } }));
      },
      { own: { maxBatchSize: 1, sharing: { ...defaultSharing, batchShareMin: 0 } }, collectsAt: 20 },
    );
    const nothing = { promptsMs: 0, sharingMs: 0, gcMs: 0 };
    expect(told.get('batch')).toMatchObject({ prompt: nothing, decode: nothing, suspensions: 1 });
    expect(told.get('realtime')).toMatchObject({ prompt: nothing, decode: { ...nothing, gcMs: 7 } });
  });

  it('in slices of time: the steps that it sat out, whole', () => {
    const standing = { level: 0, rank: 0, expectedTokens: 60 } as const;
    const told = run(
      (core, step) => {
        if (step === 0) core.add(tokenRequest('realtime', somePrompt(100, 1), 60, { standing: { ...standing, lane: 'realtime' } }));
        if (step === 5) core.add(tokenRequest('batch', somePrompt(100, 2), 10, { standing: { ...standing, lane: 'batch' } }));
      },
      { own: { sharing: { ...defaultSharing, batchYields: 'time_slice', batchShareMin: 0.25 } } },
    );
    // By this clock a step takes a millisecond, with one sequence or two: three of four are of real time alone. Of the fourth, cores that
    // are missing may make some.
    const satOutMs = 27;
    expect(told.get('batch')?.decode?.sharingMs).toBeGreaterThanOrEqual(satOutMs);
    expect(told.get('batch')?.decode?.sharingMs).toBeLessThan(satOutMs + 10);
    expect(told.get('realtime')?.decode?.sharingMs).toBeLessThan(satOutMs);
  });

  it('others’ prompts, steps that are shared, and the collector, each to whom they concern', () => {
    const told = run(
      (core, step) => {
        if (step === 0) core.add(tokenRequest('first', somePrompt(100, 1), 60, {}));
        if (step === 20) core.add(tokenRequest('second', somePrompt(300, 2), 20, {}));
      },
      { tickMs: (running) => running, collectsAt: 30 },
    );
    const [first, second] = [told.get('first'), told.get('second')];
    expect(first?.prompt).toMatchObject({ promptsMs: 0, sharingMs: 0, gcMs: 0 });
    expect(first?.decode?.gcMs).toBe(7);
    expect(first?.decode?.promptsMs).toBeGreaterThan(0);
    expect(first?.decode?.sharingMs).toBeGreaterThan(0);
    expect(second?.prompt).toMatchObject({ promptsMs: 0, gcMs: 0 });
    // While its prompt was read in pieces, the first one's steps came between.
    expect(second?.prompt?.sharingMs).toBeGreaterThan(0);
    expect(second?.decode).toMatchObject({ promptsMs: 0, gcMs: 7 });
    expect(second?.decode?.sharingMs).toBeGreaterThan(0);
  });
});
