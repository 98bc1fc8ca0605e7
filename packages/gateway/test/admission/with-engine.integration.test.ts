import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EngineCore, openModel, type LoadedModel } from '@open-autoglm/engine/core';
import type { Lane } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../../../engine/test/support/tiny-model.ts';
import { greedy, somePrompt } from '../../../engine/test/support/requests.ts';
import { EnginePool } from '../../src/admission/engine-pool.ts';
import type { PolicyName } from '../../src/admission/policies/index.ts';
import { AdmissionQueue } from '../../src/admission/queue.ts';
import type { Ticket } from '../../src/admission/ticket.ts';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEngine } from '../../src/main.ts';
import { settings, ticketOf, VirtualTime, type Arrival } from './simulator.ts';

const stepMs = 5;
const places = 2;
/** Of two that get their places at once, both prompts are read after so many milliseconds. */
const toRead = 2 * stepMs;

/** One request's way through both queues. */
interface Course {
  readonly ticket: Ticket;
  /** When it got its first token. */
  firstAtMs: number;
  /** The how manieth it was that was sent. */
  sent: number;
  /** How often it lost its place again. */
  suspensions: number;
}

interface Run {
  readonly arrivals: readonly Arrival[];
  readonly policy: PolicyName;
  readonly agingMs: number;
  readonly fairness?: 'none' | 'vtc';
}

const requests = (lanes: readonly Lane[]) =>
  fc.array(
    fc.record({
      atMs: fc.nat(250),
      promptTokens: fc.integer({ min: 1, max: 64 }),
      outputTokens: fc.integer({ min: 1, max: 40 }),
      expectedTokens: fc.integer({ min: 1, max: 40 }),
      lane: fc.constantFrom(...lanes),
    }),
    { minLength: 8, maxLength: 28 },
  );

describe('the queue and the engine behind it', () => {
  let folder: string;
  let model: LoadedModel;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-queues-'));
    const file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, {
      architecture: 'llama',
      seed: 5,
      type: 'f16',
      vocabulary: 320,
      headLength: 32,
      layers: 1,
      tiedEmbeddings: true,
    });
    const opened = openModel({
      modelPath: file,
      id: 'tiny',
      source: 'test',
      threads: 1,
      poll: 0,
      contextLength: 256,
      maxBatchSize: places,
      maxChunk: 256,
    });
    model = { ...opened, vocabulary: { ...opened.vocabulary, endsGeneration: () => false } };
  });
  afterAll(async () => {
    model.close();
    await rm(folder, { recursive: true });
  });

  /** The real queue before the real core, in a time of their own: a step takes so many milliseconds. */
  async function run({ arrivals, policy, agingMs, fairness = 'none' }: Run): Promise<readonly Course[]> {
    const time = new VirtualTime();
    const target = { replica: promptReplica(createMockEngine()), tier: 'edge', weight: 1, maxOutstanding: 1000, concurrency: places };
    const pool = new EnginePool(
      { name: 'm', targets: [target] },
      { adaptive: false, initial: 1, min: 1, tolerance: 1.5, toleranceMs: 0, queueMax: 1000 },
    );
    const queue = new AdmissionQueue(pool, { ...settings, policy, agingMs, fairness, batchShareMin: 0.5 }, time);
    const sharing = { agingMs, batchYields: 'preemption', batchShareMin: 0.5, preemptibleShare: 1 } as const;
    const core = new EngineCore(
      model,
      { maxBatchSize: places, stepTokenBudget: 128, maxChunk: 256, continuous: true, maxQueue: 1000, sharing },
      () => time.now(),
    );
    const courses = arrivals.map((arrival): Course => ({ ticket: ticketOf(arrival), firstAtMs: Infinity, sent: 0, suspensions: 0 }));
    let steps = false;
    let sent = 0;
    const step = () => {
      for (const { id, part } of core.step()) {
        const course = courses[Number(id)] as Course;
        if (part.type === 'prompt-end') {
          course.firstAtMs = time.now();
          queue.onFirstPart(course.ticket);
        }
        if (part.type !== 'text-end') continue;
        course.suspensions = part.suspensions?.count ?? 0;
        queue.leave(course.ticket);
      }
      steps = !core.idle;
      if (steps) time.after(stepMs, step);
    };
    const send = (index: number) => {
      (courses[index] as Course).sent = sent += 1;
      const { promptTokens, outputTokens } = arrivals[index] as Arrival;
      core.add({
        id: String(index),
        prompt: { tokens: somePrompt(promptTokens, index) },
        sampling: greedy,
        maxTokens: outputTokens,
        stop: [],
        topLogprobs: undefined,
        cacheScope: '',
        standing: queue.standingOf((courses[index] as Course).ticket),
      });
      if (!steps) time.after(stepMs, step);
      steps = true;
    };
    for (const [index, { atMs }] of arrivals.entries()) {
      time.after(atMs, () => void (queue.enter((courses[index] as Course).ticket)?.then(() => send(index)) ?? send(index)));
    }
    while (await time.step());
    return courses;
  }

  it.each(['mlfq', 'srtf', 'edf'] as const)(
    '%s: nobody who came later gets a token before one of its lane that has waited for the bound, but who had a place before that',
    async (policy) => {
      await fc.assert(
        fc.asyncProperty(requests(['realtime', 'batch']), fc.integer({ min: 20, max: 200 }), async (arrivals, agingMs) => {
          const courses = await run({ arrivals, policy, agingMs });
          for (const { ticket: aged, firstAtMs, suspensions } of courses) {
            expect(firstAtMs).toBeLessThan(Infinity);
            const agedAtMs = aged.arrivedAtMs + agingMs;
            const passed = courses.filter(
              (other) =>
                other.ticket.lane === aged.lane &&
                other.ticket.arrivedAtMs > aged.arrivedAtMs &&
                other.firstAtMs > agedAtMs + toRead &&
                other.firstAtMs < firstAtMs,
            );
            expect(passed).toEqual([]);
            // The batch lane gives way to real time at any age.
            if (aged.lane === 'realtime' && (aged.sentAtMs as number) >= agedAtMs) expect(suspensions).toBe(0);
          }
        }),
        { numRuns: 25 },
      );
    },
  );

  it.each([
    ['first come, first served', { policy: 'fcfs' }],
    ['fairness among tenants', { policy: 'mlfq', fairness: 'vtc' }],
  ] as const)('%s: the engine keeps the order in which they were sent, and nobody gives a place away', async (_, way) => {
    await fc.assert(
      fc.asyncProperty(requests(['realtime']), fc.integer({ min: 20, max: 200 }), async (arrivals, agingMs) => {
        const courses = await run({
          arrivals: arrivals.map((arrival, index) => ({ ...arrival, tenant: `t${index % 3}` })),
          agingMs,
          ...way,
        });
        const bySending = courses.toSorted((a, b) => a.sent - b.sent);
        const firsts = bySending.map(({ firstAtMs }) => firstAtMs);
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
        expect(courses.every(({ suspensions }) => suspensions === 0)).toBe(true);
        if (way.policy !== 'fcfs') return;
        const comings = bySending.map(({ ticket }) => ticket.arrivedAtMs);
        expect(comings).toEqual(comings.toSorted((a, b) => a - b));
      }),
      { numRuns: 15 },
    );
  });
});
