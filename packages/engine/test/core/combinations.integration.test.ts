import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import type { GeneratePart, GenerateRequest, OutputGrammar } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type CoreLimits, type LoadedModel, type StepOutput } from '../../src/core.ts';
import type { KvCacheOptions } from '../../src/kv-cache/open-kv-cache.ts';
import { openVirtualMemory, OutOfMemoryError, type VirtualMemory } from '../../src/kv-cache/virtual-memory.ts';
import { OutputBuffer } from '../../src/process/output-buffer.ts';
import { createRandom, type Random } from '../../src/sampler/random.ts';
import { openTestModel } from '../support/default-model.ts';
import { greedy, somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const contextLength = 512;
const maxBatchSize = 5;
/** Keys and values of 64 tokens in two layers, two heads of 32 elements each: a row is a multiple of 64 bytes. */
const blockBytes = { f16: 64 * 2 * 256, q8_0: 64 * 2 * 192 };
const stepsMax = 6000;

const grammars: readonly (OutputGrammar | undefined)[] = [
  undefined,
  undefined,
  undefined,
  {
    kind: 'json',
    schema: {
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'array', items: { enum: ['x', 'yy', 'z'] }, minItems: 2, maxItems: 30 } },
      required: ['a', 'b'],
      additionalProperties: false,
    },
    param: 'schema',
  },
  { kind: 'json', schema: { type: 'string', maxLength: 40 }, param: 'schema' },
  {
    kind: 'sequence',
    items: [
      { kind: 'text', without: 'e' },
      { kind: 'literal', text: 'end' },
    ],
  },
];

/** What is asked, when, and when it is taken back. */
interface Errand {
  readonly request: GenerateRequest;
  readonly at: number;
  readonly abortAt: number | undefined;
}

interface Told {
  readonly text: string;
  readonly tokenCount: number;
  readonly logprobs: readonly unknown[];
  readonly promptTokens: number | undefined;
  readonly end: unknown;
}

const nothingTold: Told = { text: '', tokenCount: 0, logprobs: [], promptTokens: undefined, end: undefined };

function tell(before: Told, part: GeneratePart): Told {
  if (part.type === 'prompt-end') return { ...before, promptTokens: part.promptTokens };
  if (part.type === 'text-delta')
    return {
      ...before,
      text: before.text + part.text,
      tokenCount: before.tokenCount + part.tokenCount,
      logprobs: [...before.logprobs, ...(part.logprobs ?? [])],
    };
  const { finishReason, completionTokens, attention } = part;
  return { ...before, end: { finishReason, completionTokens, attention } };
}

const sampling = fc.record({
  temperature: fc.constantFrom(0, 0, 0.3, 1, 2),
  topK: fc.constantFrom(0, 1, 20),
  topP: fc.constantFrom(1, 0.9, 0.3),
  minP: fc.constantFrom(0, 0.05),
  repetitionPenalty: fc.constantFrom(1, 1.3),
  presencePenalty: fc.constantFrom(0, 0.7),
  frequencyPenalty: fc.constantFrom(0, 0.4),
  logitBias: fc.constantFrom({}, { 70: 3, 80: -100 }),
  seed: fc.nat(50),
});

const contextStrategy = fc.constantFrom<GenerateRequest['contextStrategy'][]>(
  undefined,
  undefined,
  { kind: 'window', sinks: 0, window: 256 },
  { kind: 'window', sinks: 64, window: 384 },
  { kind: 'attention', sinks: 64, window: 256 },
  { kind: 'attention', sinks: 10, window: 448 },
);

const standing = fc.option(
  fc.record({
    lane: fc.constantFrom('realtime' as const, 'batch' as const),
    level: fc.nat(4),
    rank: fc.nat(3),
    expectedTokens: fc.constantFrom(5, 100, 1000),
    slices: fc.constantFrom(undefined, { timeSliceMs: 20, priorityWeight: 2 }),
  }),
  { nil: undefined },
);

/** One request, or several that differ in their choices only, as those of `n`. */
const wish = fc.record({
  family: fc.nat(2),
  shared: fc.constantFrom(0, 0, 40, 64, 130, 300),
  own: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 200 })),
  /** Only what gives way to new tokens can be longer than the context. */
  beyond: fc.constantFrom(0, 0, 0, 200, 700),
  ownSeed: fc.integer({ min: 10, max: 14 }),
  samplings: fc.array(sampling, { minLength: 1, maxLength: 3 }),
  at: fc.nat(20),
  /** Of each choice, how long after its arrival it is taken back. */
  leavesAfter: fc.tuple(
    ...Array.from({ length: 3 }, () => fc.oneof({ arbitrary: fc.constant(undefined), weight: 3 }, { arbitrary: fc.nat(200), weight: 1 })),
  ),
  rest: fc.record({
    maxTokens: fc.constantFrom(1, 17, 60, 150, 200, 330),
    grammar: fc.constantFrom(...grammars),
    stop: fc.constantFrom([], [], [], ['e'], ['th', 'the '], ['中', 'qqq']),
    topLogprobs: fc.constantFrom(undefined, 0, 2),
    contextStrategy,
    attention: fc.boolean(),
    cacheScope: fc.constantFrom('a', 'a', 'b'),
    standing,
  }),
});

const errands = fc.array(wish, { minLength: 3, maxLength: 7, size: 'max' }).map((wishes) =>
  wishes.flatMap(({ family, shared, own, beyond, ownSeed, samplings, at, leavesAfter, rest }, key) => {
    const length = own + (rest.contextStrategy ? beyond : 0);
    const prompt = [...somePrompt(shared, family), ...somePrompt(length, ownSeed)];
    return samplings.map((one, index): Errand => {
      const after = leavesAfter[index];
      return {
        request: { ...tokenRequest(`${key}.${index}`, prompt, 0), ...rest, sampling: { ...greedy, ...one } },
        at,
        abortAt: after === undefined ? undefined : at + after,
      };
    });
  }),
);

const engines = fc.record({
  type: fc.constantFrom('f16' as const, 'q8_0' as const),
  /** Random weights end an answer at any time. */
  isEndless: fc.constantFrom(true, true, false),
  /** 0: static. */
  blocks: fc.constantFrom(8, 8, 9, 10, 11, 14, 40, 0),
  speculation: fc.constantFrom('none' as const, 'eager' as const, 'some' as const),
  batch: fc.constantFrom(1, 3, 4, maxBatchSize),
  stepTokenBudget: fc.constantFrom(1, 64, 150, 512),
  maxChunk: fc.constantFrom(64, 128, 512),
  continuous: fc.constantFrom(true, true, true, false),
  batchYields: fc.constantFrom('preemption' as const, 'time_slice' as const),
  agingMs: fc.constantFrom(0, 300, 1e9),
  intervalMs: fc.constantFrom(0, 35),
  refusals: fc.constantFrom(0, 0, 0.1),
  seed: fc.nat(1000),
});

type EngineWish = typeof engines extends fc.Arbitrary<infer Wish> ? Wish : never;

describe('requests of all kinds at once', () => {
  let folder: string;
  let file: string;
  const models = new Map<string, LoadedModel>();
  const alone = new Map<string, Told>();
  /** Throws as the system does when it has no memory. */
  let refuse = () => {};
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-combinations-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
  });
  afterAll(async () => {
    for (const model of models.values()) model.close();
    await rm(folder, { recursive: true });
  });

  const openMemory = (): VirtualMemory => {
    const real = openVirtualMemory();
    const orRefuse =
      <A extends unknown[]>(call: (...args: A) => void) =>
      (...args: A) => {
        refuse();
        call(...args);
      };
    return { ...real, allocate: orRefuse(real.allocate), map: orRefuse(real.map), unmap: orRefuse(real.unmap) };
  };
  const modelFor = (kvCache: KvCacheOptions, isEndless: boolean): LoadedModel => {
    const key = JSON.stringify(kvCache);
    const model = models.get(key) ?? openTestModel(file, { contextLength, maxBatchSize, kvCache, openMemory });
    models.set(key, model);
    return isEndless ? { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } } : model;
  };

  /** Its answer by an engine that has nothing else to do, and drafts nothing. */
  const expectedOf = (request: GenerateRequest, { type, isEndless }: EngineWish): Told => {
    const key = JSON.stringify([type, isEndless, { ...request, id: '', standing: undefined }]);
    const known = alone.get(key);
    if (known) return known;
    const core = new EngineCore(modelFor({ strategy: 'static', type }, isEndless), {
      maxBatchSize,
      stepTokenBudget: 512,
      maxChunk: 512,
      continuous: true,
      maxQueue: 1,
    });
    core.add(request);
    let told = nothingTold;
    while (!core.idle) for (const { part } of core.step()) told = tell(told, part);
    alone.set(key, told);
    return told;
  };

  it('are each answered as they would be alone, and leave no block behind', () => {
    fc.assert(
      fc.property(engines, errands, (engine, all) => {
        const model = modelFor(kvCacheOf(engine), engine.isEndless);
        expect(model.info.contextLength).toBe(contextLength);
        const random = createRandom(engine.seed);
        let nowMs = 0;
        const core = new EngineCore(model, limitsOf(engine, random), () => nowMs);
        const buffer = new OutputBuffer(engine.intervalMs);
        const told = new Map<string, Told>();
        const left = new Set<string>();
        const take = ({ id, part }: StepOutput) => {
          expect([id, left.has(id), told.get(id)?.end]).toEqual([id, false, undefined]);
          told.set(id, tell(told.get(id) ?? nothingTold, part));
        };
        // Of the last one that runs a refusal is the end.
        refuse = () => {
          if (core.stats().running > 1 && random() < engine.refusals) throw new OutOfMemoryError('mmap: ENOMEM');
        };
        try {
          for (let step = 0; step <= 150 || !core.idle; step += 1) {
            if (step > stepsMax) throw new Error(`not all was answered in ${stepsMax} steps`);
            nowMs += 10;
            for (const { request, at, abortAt } of all) {
              if (at === step) core.add(request);
              if (abortAt === step) {
                left.add(request.id);
                core.abort(request.id);
                buffer.forget(request.id);
              }
            }
            for (const output of buffer.add(core.step(), nowMs)) take(output);
          }
        } finally {
          refuse = () => {};
        }
        for (const { request, abortAt } of all) {
          const got = told.get(request.id) ?? nothingTold;
          if (got.end === undefined && abortAt !== undefined) continue;
          expect([request.id, got]).toEqual([request.id, expectedOf(request, engine)]);
        }
        expectNothingHeld(model);
      }),
      { numRuns: 12 },
    );
  });
});

function kvCacheOf({ type, blocks }: EngineWish): KvCacheOptions {
  return blocks === 0 ? { strategy: 'static', type } : { strategy: 'paged', type, maxBytes: blocks * blockBytes[type] };
}

function limitsOf(
  { batch, stepTokenBudget, maxChunk, continuous, speculation, batchYields, agingMs }: EngineWish,
  random: Random,
): CoreLimits {
  const costs = { none: undefined, eager: () => 1, some: () => 1 + 2 * random() };
  const costOf = costs[speculation];
  return {
    maxBatchSize: batch,
    stepTokenBudget,
    maxChunk,
    continuous,
    maxQueue: 100,
    stepCosts: costOf && { costOf, observe: () => undefined },
    sharing: { agingMs, batchYields, batchShareMin: 0.1, preemptibleShare: 0.5 },
  };
}

/** All of the memory can be had by one that asks for all of it. */
function expectNothingHeld({ cache, info }: LoadedModel): void {
  expect(cache.usage.usedTokens).toBe(0);
  const all = Math.min(cache.usage.capacityTokens, info.contextLength);
  expect(cache.acquire({ sequence: 'all', tokens: new Int32Array(all - 1), promptLength: 1, scope: 'nobody', spareTokens: 0 })).toBe(0);
  cache.release('all');
}
