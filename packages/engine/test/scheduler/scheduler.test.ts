import type { ContextStrategy, Lane } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundContext, type ContextBounds } from '../../src/context/bounds.ts';
import { chooseDrops } from '../../src/context/choose-drops.ts';
import { openDevice } from '../../src/ggml/device.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import type { KvCacheParts } from '../../src/kv-cache/kv-cache-parts.ts';
import type { DropOutcome, KvCache } from '../../src/kv-cache/kv-cache.ts';
import { createPagedKvCache } from '../../src/kv-cache/paged-kv-cache.ts';
import { createStaticKvCache } from '../../src/kv-cache/static-kv-cache.ts';
import { openVirtualMemory } from '../../src/kv-cache/virtual-memory.ts';
import { createSamplerScratch } from '../../src/sampler/sampler.ts';
import { PromptBudget } from '../../src/scheduler/plan.ts';
import { Scheduler, type PlaceLimits } from '../../src/scheduler/scheduler.ts';
import { defaultSharing } from '../../src/scheduler/standing.ts';
import { createSequence, type Sequence } from '../../src/sequence.ts';
import { DelayAccount, SequenceDelays } from '../../src/stats/delay-account.ts';
import { somePrompt, tokenRequest } from '../support/requests.ts';

const ggml = loadGgml();
const contextLength = 512;
const sizes = { layerCount: 1, kvHeadCount: 1, headLength: 32 } as KvCacheParts['sizes'];
const blockBytes = 64 * 2 * 32 * 2;
const parts = { ggml, device: openDevice(ggml, { threads: 1, poll: 0 }), sizes, contextLength, type: 'f16' } as const;
const scratch = createSamplerScratch(512);

/** Generates a token for whoever is due, without computing anything: what is left of a step is who gets which place. */
class Steps {
  readonly scheduler: Scheduler;
  readonly ended = new Set<string>();
  readonly #cache: KvCache;
  readonly #limits: PlaceLimits;
  readonly #account = new DelayAccount(() => ({ missingCoresMs: 0, gcMs: 0 }));
  readonly #drops = new Map<string, readonly number[]>();
  #arrivals = 0;
  #nowMs = 0;

  constructor(cache: KvCache, limits: PlaceLimits) {
    this.#cache = cache;
    this.#limits = limits;
    this.scheduler = new Scheduler({ cache, limits, now: () => this.#nowMs, dropBlocks: (sequence) => this.#drop(sequence) });
  }

  add(id: string, { promptLength, maxTokens, seed, lane, level, kind }: Asked): void {
    const prompt = somePrompt(promptLength, seed);
    const standing = { lane, level, rank: 0, expectedTokens: maxTokens };
    const request = tokenRequest(id, prompt, maxTokens, { standing });
    const delays = new SequenceDelays(this.#account);
    this.#arrivals += 1;
    this.scheduler.add(
      createSequence({
        request,
        prompt,
        contextLength,
        bounds: boundContext({ kind, sinks: 64 * (seed % 2), window: 384 }, contextLength, ''),
        constraint: undefined,
        scratch,
        delays,
        now: this.#nowMs,
        order: this.#arrivals,
      }),
    );
  }

  step(): void {
    this.#nowMs += 1;
    this.scheduler.beginStep();
    const runningBefore = this.scheduler.runningCount;
    const decoding = this.scheduler.takeDecoding();
    expect(new Set(decoding).size).toBe(decoding.length);
    for (const sequence of decoding) this.#decode(sequence);
    const budget = new PromptBudget(decoding.length, this.#limits);
    const read = new Set<Sequence>();
    for (const sequence of this.scheduler.takePrompts(budget)) {
      expect(read.has(sequence), 'a prompt is read once in a step').toBe(false);
      read.add(sequence);
      const isNew = sequence.startedAt === this.#nowMs;
      if (isNew && !this.#limits.continuous) expect(runningBefore, 'a batch that runs lets nobody in').toBe(0);
      this.#read(sequence, budget);
    }
    expect(this.scheduler.runningCount).toBeLessThanOrEqual(this.#limits.maxBatchSize);
  }

  /** As the engine does, by weights that are others at another time: what went before is not chosen again. */
  #drop(sequence: Sequence): DropOutcome {
    const { id, context, computed } = sequence;
    const rows = context.rows(computed);
    const weights = Array.from({ length: rows / 64 }, (_, place) => (place * 7919 * this.#nowMs) % 13);
    const places = context.placesToDrop(computed, () => chooseDrops(context.bounds as ContextBounds, weights.length, () => weights));
    const outcome = this.#cache.drop(id, places, rows);
    if (outcome !== 'dropped') return outcome;
    const known = this.#drops.get(`${id} ${computed}`) ?? places;
    expect(places, 'the same goes at the same token, whenever a place was lost').toEqual(known);
    this.#drops.set(`${id} ${computed}`, known);
    context.advance();
    return outcome;
  }

  #decode(sequence: Sequence): void {
    sequence.computed += 1;
    expect(sequence.context.hasRoomFor(sequence.computed), 'no more is kept than may be').toBe(true);
    if (sequence.computed === sequence.tokens.length) this.#generate(sequence);
  }

  #read(sequence: Sequence, budget: PromptBudget): void {
    const { id, prompt, context, computed } = sequence;
    const known = this.#cache.catchUp(id, prompt.subarray(0, context.wholeTokens), computed);
    if (known === undefined) return this.scheduler.suspend(sequence);
    const from = Math.min(known, prompt.length - 1);
    const count = budget.take({ promptLength: context.rows(prompt.length), computed: context.rows(from), room: context.promptRoom(from) });
    sequence.computed = count > 0 ? from + count : known;
    if (count === 0) return undefined;
    if (!this.#cache.commit(id, prompt, sequence.computed)) return this.scheduler.suspend(sequence);
    if (sequence.computed < prompt.length) return undefined;
    this.scheduler.beginDecoding(sequence);
    if (sequence.generated > 0) return undefined;
    for (const begun of [sequence, ...this.scheduler.takeTwins(sequence)]) this.#generate(begun);
    return undefined;
  }

  #generate(sequence: Sequence): void {
    sequence.tokens.push(3 + (sequence.order % 250));
    sequence.generated += 1;
    if (sequence.generated < sequence.maxTokens) return;
    expect(this.ended.has(sequence.id), 'an answer ends once').toBe(false);
    this.ended.add(sequence.id);
    this.scheduler.remove(sequence.id);
  }
}

interface Asked {
  readonly promptLength: number;
  readonly maxTokens: number;
  readonly seed: number;
  readonly lane: Lane;
  readonly level: number;
  readonly kind: ContextStrategy['kind'];
}

const askedOf = (kinds: readonly Asked['kind'][], promptLengthMax: number, maxTokensMax: number): fc.Arbitrary<Asked> =>
  fc.record({
    promptLength: fc.integer({ min: 1, max: promptLengthMax }),
    maxTokens: fc.integer({ min: 1, max: maxTokensMax }),
    // Prompts of one seed begin alike; of one length, they are twins.
    seed: fc.nat(2),
    lane: fc.constantFrom<Lane[]>('realtime', 'batch'),
    level: fc.nat(6),
    kind: fc.constantFrom(...kinds),
  });
/** Those that drop what does not fit may be longer than the context. */
const asked = fc.oneof(
  { weight: 1, arbitrary: askedOf(['full'], 300, 100) },
  { weight: 1, arbitrary: askedOf(['window', 'attention'], 900, 400) },
);
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), request: asked, copies: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat(100) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 200 }) }) },
);
const limits = fc.record({
  maxBatchSize: fc.integer({ min: 1, max: 4 }),
  stepTokenBudget: fc.constantFrom(64, 256),
  maxChunk: fc.constantFrom(64, 128),
  continuous: fc.boolean(),
  maxQueue: fc.constant(1000),
  sharing: fc.record({
    agingMs: fc.constantFrom(1, 50, 5000),
    batchYields: fc.constantFrom('preemption' as const, 'time_slice' as const),
    batchShareMin: fc.constantFrom(0.1, 0.5),
    preemptibleShare: fc.constant(defaultSharing.preemptibleShare),
  }),
});
/** Blocks of 64 tokens: the least holds one sequence of the longest prompt and answer. */
const blocks = fc.integer({ min: 7, max: 16 });

/** Steps after the last request within which all must have ended: of one place, each alone, with all of its prompt read twice. */
const stepsMax = 20_000;

describe('the scheduler', () => {
  it.each<[string, (maxSequences: number, blockCount: number) => KvCache]>([
    [
      'paged',
      (maxSequences, blockCount) =>
        createPagedKvCache({ ...parts, maxSequences, memory: openVirtualMemory(), maxBytes: blockCount * blockBytes, mappingsMax: 65_530 }),
    ],
    ['static', (maxSequences) => createStaticKvCache({ ...parts, maxSequences })],
  ])(
    'brings every request to its end that nobody took back, and leaves no memory held (%s)',
    (_, open) => {
      fc.assert(
        fc.property(limits, blocks, fc.array(operation, { maxLength: 25, size: 'max' }), (chosen, blockCount, operations) => {
          const cache = open(chosen.maxBatchSize, blockCount);
          const steps = new Steps(cache, chosen);
          const wanted = new Set<string>();
          try {
            for (const [index, one] of operations.entries()) {
              if (one.kind === 'steps') {
                for (let count = 0; count < one.count; count += 1) steps.step();
              } else if (one.kind === 'remove') {
                const id = [...wanted][one.which % Math.max(1, wanted.size)];
                if (id === undefined) continue;
                steps.scheduler.remove(id);
                wanted.delete(id);
              } else {
                for (let copy = 0; copy < one.copies; copy += 1) {
                  wanted.add(`${index}/${copy}`);
                  steps.add(`${index}/${copy}`, one.request);
                }
              }
            }
            for (let count = 0; !steps.scheduler.isIdle; count += 1) {
              if (count === stepsMax)
                expect.fail(`${steps.scheduler.waitingCount} wait and ${steps.scheduler.runningCount} run after ${stepsMax} steps`);
              steps.step();
            }
            expect([...wanted].filter((id) => !steps.ended.has(id))).toEqual([]);
            expect(cache.usage.usedTokens).toBe(0);
          } finally {
            cache.close();
          }
        }),
        { numRuns: 100 },
      );
    },
    30_000,
  );
});
