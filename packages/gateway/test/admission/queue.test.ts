import type { Standing } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBefore } from '../../src/admission/choose-next.ts';
import { simulate, type Arrival, type Outcome } from './simulator.ts';

const arrivals = (lanes: readonly ('realtime' | 'batch')[] = ['realtime'], tenants = ['']) =>
  fc.array(
    fc.record({
      atMs: fc.nat(2000),
      promptTokens: fc.integer({ min: 1, max: 400 }),
      outputTokens: fc.integer({ min: 1, max: 100 }),
      expectedTokens: fc.integer({ min: 1, max: 100 }),
      lane: fc.constantFrom(...lanes),
      tenant: fc.constantFrom(...tenants),
    }),
    { minLength: 1, maxLength: 60 },
  );

describe.each(['mlfq', 'srtf', 'edf'] as const)('%s', (policy) => {
  it('lets nobody be overtaken who has waited for the aging bound', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals(), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 50, max: 1000 }), async (list, places, agingMs) => {
        const outcomes = await simulate({ arrivals: list, places, settings: { policy, agingMs } });
        for (const later of outcomes) {
          const sentAtMs = later.sentAtMs as number;
          const overtaken = outcomes.filter(
            ({ ticket, sentAtMs: otherMs = 0 }) =>
              ticket.order < later.ticket.order && sentAtMs - ticket.arrivedAtMs >= agingMs && otherMs > sentAtMs,
          );
          expect(overtaken.map(({ arrival }) => arrival)).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('any policy', () => {
  it('serves everybody, never more at once than there is room for, and nobody while there is room', async () => {
    const policies = fc.constantFrom('fcfs', 'mlfq', 'srtf', 'edf', 'vtc' as const);
    await fc.assert(
      fc.asyncProperty(
        arrivals(['realtime', 'batch'], ['a', 'b']),
        fc.integer({ min: 1, max: 4 }),
        policies,
        async (list, places, policy) => {
          const outcomes = await simulate({
            arrivals: list,
            places,
            settings: { policy },
            look: ({ running, waiting }) => {
              expect(running.realtime).toBeLessThanOrEqual(places);
              expect(running.realtime + running.batch).toBeLessThanOrEqual(places);
              if (waiting.realtime.length + waiting.batch.length > 0) expect(running.realtime + running.batch).toBe(places);
            },
          });
          expect(outcomes.every(({ endedAtMs }) => endedAtMs !== undefined)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('sends real time before batch, but for the share of the batch lane', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals(['realtime', 'batch']), fc.constantFrom(0, 0.25, 0.5), async (list, batchShareMin) => {
        const places = 4;
        const outcomes = await simulate({ arrivals: list, places, settings: { batchShareMin } });
        for (const batch of outcomes.filter(({ ticket }) => ticket.lane === 'batch')) {
          const at = batch.ticket.sentAtMs as number;
          const isUnderWay = ({ ticket, endedAtMs = 0 }: Outcome) =>
            ticket.lane === 'batch' && (ticket.sentAtMs as number) <= at && endedAtMs > at && ticket !== batch.ticket;
          const waits = outcomes.filter(
            ({ ticket, sentAtMs = 0 }) => ticket.lane === 'realtime' && ticket.arrivedAtMs < at && sentAtMs > at,
          );
          if (waits.length > 0) expect(outcomes.filter(isUnderWay).length).toBeLessThan(places * batchShareMin);
        }
      }),
      { numRuns: 60 },
    );
  });

  it.each(['mlfq', 'srtf'] as const)('%s: the batch lane keeps the order of arrival, and no levels', async (policy) => {
    await fc.assert(
      fc.asyncProperty(arrivals(['realtime', 'batch']), fc.integer({ min: 1, max: 4 }), async (list, places) => {
        const standings: Standing[] = [];
        const outcomes = await simulate({
          arrivals: list,
          places,
          settings: { policy },
          look: (queue, _, all) =>
            standings.push(
              ...all
                .filter(({ ticket }) => ticket.lane === 'batch' && ticket.sentAtMs !== undefined)
                .map(({ ticket }) => queue.standingOf(ticket)),
            ),
        });
        const batch = outcomes.filter(({ ticket }) => ticket.lane === 'batch').toSorted((a, b) => a.ticket.order - b.ticket.order);
        const sentAt = batch.map(({ sentAtMs }) => sentAtMs as number);
        expect(sentAt).toEqual(sentAt.toSorted((a, b) => a - b));
        for (const { level, slices } of standings) expect([level, slices]).toEqual([0, undefined]);
      }),
      { numRuns: 40 },
    );
  });

  it('moves the batch lane however much comes in real time', async () => {
    const flood = Array.from({ length: 400 }, (_, index): Arrival => ({ atMs: index * 10, promptTokens: 10, outputTokens: 10 }));
    const batch = Array.from({ length: 20 }, (): Arrival => ({ atMs: 0, promptTokens: 10, outputTokens: 10, lane: 'batch' }));
    const outcomes = await simulate({ arrivals: [...flood, ...batch], places: 4, settings: { batchShareMin: 0.25 } });
    const batchEnd = Math.max(...outcomes.filter(({ ticket }) => ticket.lane === 'batch').map(({ endedAtMs = 0 }) => endedAtMs));
    // At least one place of four: twenty answers of 52 ms, one after the other at worst.
    expect(batchEnd).toBeLessThanOrEqual(20 * 52);
    expect(batchEnd).toBeGreaterThan(10 * 52);
  });
});

describe('a request that cannot be answered in time', () => {
  const burst = (count: number, more: Partial<Arrival> = {}) =>
    Array.from({ length: count }, (_, index): Arrival => ({ atMs: index, promptTokens: 100, outputTokens: 16, ...more }));

  it('is refused when it comes, as soon as it is known how long answers take, and the others keep their deadlines', async () => {
    const outcomes = await simulate({
      arrivals: [...burst(10), ...burst(100, { deadlineMs: 1500 }).map((arrival) => ({ ...arrival, atMs: arrival.atMs + 2000 }))],
      places: 2,
    });
    const asked = outcomes.slice(10);
    const refused = asked.filter(({ code }) => code === 'deadline_unreachable');
    expect(refused.length).toBeGreaterThan(60);
    expect(refused.every(({ arrival, refusedAtMs }) => refusedAtMs === arrival.atMs)).toBe(true);
    for (const { arrival, endedAtMs } of asked) if (endedAtMs !== undefined) expect(endedAtMs - arrival.atMs).toBeLessThanOrEqual(1500);
    expect(asked.filter(({ endedAtMs }) => endedAtMs !== undefined).length).toBeGreaterThan(20);
  });

  it('leaves the queue when shorter ones have taken its time', async () => {
    const long: Arrival = { atMs: 2000, promptTokens: 100, outputTokens: 100, deadlineMs: 1200 };
    const short = Array.from({ length: 60 }, (_, index): Arrival => ({ atMs: 1990 + index * 20, promptTokens: 10, outputTokens: 4 }));
    const outcomes = await simulate({ arrivals: [...burst(10), ...short, long], places: 1, settings: { policy: 'srtf', agingMs: 1e9 } });
    const late = outcomes.at(-1) as Outcome;
    expect(late.code).toBe('deadline_unreachable');
    expect(late.refusedAtMs).toBeLessThan(2000 + 1200 - 500);
  });

  it('stays in the queue when answers have become quicker since it came', async () => {
    const before: Arrival = { atMs: 1990, promptTokens: 100, outputTokens: 100 };
    // By what is known then its answer takes 520 ms, so that it has 380 ms to wait.
    const hurried: Arrival = { atMs: 2000, promptTokens: 100, outputTokens: 16, expectedTokens: 100, deadlineMs: 900 };
    let isQuicker = false;
    const outcomes = await simulate({
      arrivals: [...burst(10), before, hurried],
      places: 1,
      look(queue, nowMs) {
        if (isQuicker || nowMs < hurried.atMs) return;
        isQuicker = true;
        for (let answers = 0; answers < 60; answers += 1) queue.work.add({ firstMs: 20, restMs: 16, promptTokens: 100, outputTokens: 17 });
      },
    });
    expect(outcomes.at(-1)).toMatchObject({ sentAtMs: 1990 + 520 });
  });

  it('waits for no longer than the bound', async () => {
    const outcomes = await simulate({ arrivals: burst(100), places: 1, settings: { waitMsMax: 400 } });
    for (const { arrival, sentAtMs, refusedAtMs, code } of outcomes) {
      expect((sentAtMs ?? (refusedAtMs as number)) - arrival.atMs).toBeLessThanOrEqual(400);
      if (refusedAtMs !== undefined) expect(code).toBe('queue_full');
    }
  });

  it('finds no room where so many wait already', async () => {
    const outcomes = await simulate({
      arrivals: burst(50),
      places: 1,
      queueMax: 5,
      look: ({ waiting }) => expect(waiting.realtime.length).toBeLessThanOrEqual(5),
    });
    expect(outcomes.filter(({ code }) => code === 'queue_full')).not.toHaveLength(0);
  });
});

const fair = [
  { policy: 'vtc' },
  { policy: 'fcfs', fairness: 'vtc' },
  { policy: 'mlfq', fairness: 'vtc' },
  { policy: 'srtf', fairness: 'vtc' },
  { policy: 'edf', fairness: 'vtc' },
] as const;

describe.each(fair)('fair: %o', (way) => {
  it('serves tenants that both have requests waiting alike, within the bound, whatever they send', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals(['realtime'], ['a', 'b', 'c']), fc.integer({ min: 1, max: 4 }), async (list, places) => {
        const weights = { prompt: 1, output: 2 };
        const promptMost = Math.max(...list.map(({ promptTokens }) => promptTokens));
        const outputMost = Math.max(...list.map(({ outputTokens }) => outputTokens));
        const bound = 2 * Math.max(weights.prompt * promptMost, weights.output * places * outputMost);
        // What each has been served since both began to wait.
        const since = new Map<string, number>();
        const served = new Map<string, number>();
        await simulate({
          arrivals: list,
          places,
          settings: { ...way, tokenWeights: weights, agingMs: 100 },
          look: ({ waiting }, _nowMs, outcomes) => {
            for (const tenant of ['a', 'b', 'c']) {
              served.set(
                tenant,
                outcomes.reduce(
                  (sum, { ticket, endedAtMs }) =>
                    sum +
                    (ticket.tenant !== tenant
                      ? 0
                      : (ticket.sentAtMs === undefined ? 0 : ticket.promptTokens * weights.prompt) +
                        (endedAtMs === undefined
                          ? 0
                          : outcomes.find((other) => other.ticket === ticket)!.arrival.outputTokens * weights.output)),
                  0,
                ),
              );
            }
            for (const [one, other] of [
              ['a', 'b'],
              ['a', 'c'],
              ['b', 'c'],
            ] as const) {
              const difference = (served.get(one) as number) - (served.get(other) as number);
              const isBoth = [one, other].every((tenant) => waiting.realtime.some((ticket) => ticket.tenant === tenant));
              if (!isBoth) since.delete(one + other);
              else if (!since.has(one + other)) since.set(one + other, difference);
              else expect(Math.abs(difference - (since.get(one + other) as number))).toBeLessThanOrEqual(2 * bound);
            }
          },
        });
      }),
      { numRuns: 25 },
    );
  });

  it('gives a newcomer no credit for the time when it asked for nothing', async () => {
    const early = Array.from({ length: 200 }, (): Arrival => ({ atMs: 0, promptTokens: 10, outputTokens: 10, tenant: 'early' }));
    const late = Array.from({ length: 50 }, (): Arrival => ({ atMs: 5000, promptTokens: 10, outputTokens: 10, tenant: 'late' }));
    const outcomes = await simulate({ arrivals: [...early, ...late], places: 1, settings: way });
    const between = outcomes.filter(({ sentAtMs = 0 }) => sentAtMs > 5000 && sentAtMs < 5000 + 20 * 52);
    const ofLate = between.filter(({ ticket }) => ticket.tenant === 'late').length;
    expect(ofLate).toBeGreaterThanOrEqual(8);
    expect(ofLate).toBeLessThanOrEqual(12);
  });
});

describe.each(fair)('fair among keys: %o', (way) => {
  const request = { promptTokens: 10, outputTokens: 10 };
  const renamed = (length: number, atMs = 0) =>
    Array.from({ length }, (_, index): Arrival => ({ ...request, atMs, tenant: `key.${index}` }));

  it('a key that names a tenant for each request has the share of one', async () => {
    const other = Array.from({ length: 50 }, (): Arrival => ({ ...request, atMs: 0, tenant: 'other' }));
    const outcomes = await simulate({ arrivals: [...renamed(200), ...other], places: 1, settings: way });
    const between = outcomes.filter(({ sentAtMs = 0 }) => sentAtMs > 0 && sentAtMs < 52 * 20);
    expect(between).toHaveLength(19);
    expect(between.filter(({ ticket }) => ticket.tenant === 'other').length).toBeGreaterThanOrEqual(9);
  });

  it('takes from its other tenants the place of who is displaced, where it fills the queue', async () => {
    const other = Array.from({ length: 3 }, (): Arrival => ({ ...request, atMs: 50, tenant: 'other' }));
    const outcomes = await simulate({
      arrivals: [...renamed(11), ...other, ...renamed(11, 60).slice(5)],
      places: 1,
      queueMax: 10,
      settings: way,
    });
    expect(outcomes.slice(11, 14).every(({ endedAtMs }) => endedAtMs !== undefined)).toBe(true);
  });

  it('tenants of a key are served alike as those of no key are', async () => {
    const flood = Array.from({ length: 200 }, (): Arrival => ({ ...request, atMs: 0, tenant: 'key.flood' }));
    const few = Array.from({ length: 10 }, (): Arrival => ({ ...request, atMs: 5000, tenant: 'key.few' }));
    const outcomes = await simulate({ arrivals: [...flood, ...few], places: 1, settings: way });
    const between = outcomes.filter(({ sentAtMs = 0 }) => sentAtMs > 5000 && sentAtMs < 5000 + 20 * 52);
    const ofFew = between.filter(({ ticket }) => ticket.tenant === 'key.few').length;
    expect(ofFew).toBeGreaterThanOrEqual(8);
    expect(ofFew).toBeLessThanOrEqual(10);
  });

  it('the wait that is predicted is that behind the turns of other keys, and of the own one’s other tenants', async () => {
    const taught = Array.from({ length: 10 }, (_, index): Arrival => ({
      atMs: index * 200,
      promptTokens: 100,
      outputTokens: 16,
      tenant: 'early',
    }));
    const flood = Array.from({ length: 40 }, (_, index): Arrival => ({
      atMs: 5000,
      promptTokens: 100,
      outputTokens: 16,
      tenant: `key.${index}`,
    }));
    // One is under way, one of the key's goes before it: 3 of 100 ms, and no 40.
    const other: Arrival = { atMs: 5010, promptTokens: 100, outputTokens: 16, tenant: 'other', deadlineMs: 450 };
    const outcomes = await simulate({ arrivals: [...taught, ...flood, other], places: 1, settings: way });
    expect(outcomes.at(-1)?.endedAtMs).toBeLessThanOrEqual(5460);
  });
});

describe('fairness beside a policy', () => {
  it('orders the requests of a tenant by the policy, and ages within a tenant', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals(['realtime'], ['a', 'b']),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 50, max: 500 }),
        async (list, places, agingMs) => {
          const outcomes = await simulate({ arrivals: list, places, settings: { policy: 'srtf', fairness: 'vtc', agingMs } });
          for (const later of outcomes) {
            const sentAtMs = later.sentAtMs as number;
            const others = outcomes.filter(
              ({ ticket, sentAtMs: otherMs = 0 }) =>
                ticket.tenant === later.ticket.tenant && ticket.order < later.ticket.order && otherMs > sentAtMs,
            );
            for (const { ticket } of others) {
              expect(sentAtMs - ticket.arrivedAtMs).toBeLessThan(agingMs);
              expect(isBefore(later.ticket.place, ticket.place)).toBe(true);
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('shares the room to wait: a flood makes room for who has less there, and for nobody else', async () => {
    const flood = Array.from({ length: 30 }, (_, index): Arrival => ({ atMs: index, promptTokens: 10, outputTokens: 20, tenant: 'flood' }));
    const few = Array.from({ length: 3 }, (_, index): Arrival => ({ atMs: 50 + index, promptTokens: 10, outputTokens: 20, tenant: 'few' }));
    const most = { queue: 0 };
    const outcomes = await simulate({
      arrivals: [...flood, ...few],
      places: 1,
      queueMax: 10,
      settings: { policy: 'mlfq', fairness: 'vtc' },
      look: ({ waiting }) => (most.queue = Math.max(most.queue, waiting.realtime.length)),
    });
    expect(most.queue).toBe(10);
    expect(outcomes.slice(30).every(({ endedAtMs }) => endedAtMs !== undefined)).toBe(true);
    expect(outcomes.filter(({ code }) => code === 'queue_full')).toHaveLength(30 - 11 + 3);
    expect(outcomes.filter(({ sentAtMs, refusedAtMs }) => (sentAtMs === undefined) === (refusedAtMs === undefined))).toEqual([]);
  });

  const taught = Array.from({ length: 10 }, (_, index): Arrival => ({ atMs: index, promptTokens: 100, outputTokens: 16, tenant: 'early' }));

  it.each([
    { refused: 'deadline_unreachable', deadlineMs: 1 },
    { refused: 'queue_full', waitMsMax: 300 },
  ])('takes no place from anybody for a request that is refused itself: $refused', async ({ refused, deadlineMs, waitMsMax = 1e9 }) => {
    const flood = Array.from({ length: 4 }, (_, index): Arrival => ({
      atMs: 5000 + index,
      promptTokens: 100,
      outputTokens: 16,
      tenant: 'flood',
    }));
    const late: Arrival = {
      atMs: 5010,
      promptTokens: 100,
      outputTokens: 16,
      tenant: 'few',
      sequences: 3,
      ...(deadlineMs !== undefined && { deadlineMs }),
    };
    const outcomes = await simulate({
      arrivals: [...taught.map((arrival) => ({ ...arrival, atMs: arrival.atMs * 200 })), ...flood, late],
      places: 1,
      queueMax: 3,
      settings: { policy: 'fcfs', fairness: 'vtc', waitMsMax },
    });
    expect(outcomes.filter(({ code }) => code !== undefined).map(({ code, ticket }) => [ticket.tenant, code])).toEqual([['few', refused]]);
  });

  it('predicts the wait by the sequences before it, not the requests', async () => {
    const wide = Array.from({ length: 4 }, (_, index): Arrival => ({
      atMs: 5000 + index,
      promptTokens: 100,
      outputTokens: 16,
      tenant: 'wide',
      sequences: 4,
    }));
    const after: Arrival = { atMs: 5010, promptTokens: 100, outputTokens: 16, tenant: 'wide', deadlineMs: 700 };
    const outcomes = await simulate({ arrivals: [...taught, ...wide, after], places: 4, settings: { policy: 'fcfs', fairness: 'vtc' } });
    // Twelve sequences before it and its own, of 100 ms, by four: 325 ms and its 100 are within it; a deadline of 400 ms is not.
    expect(outcomes.at(-1)?.code).toBeUndefined();
    const hasty = await simulate({
      arrivals: [...taught, ...wide, { ...after, deadlineMs: 400 }],
      places: 4,
      settings: { policy: 'fcfs', fairness: 'vtc' },
    });
    expect([hasty.at(-1)?.code, hasty.at(-1)?.refusedAtMs]).toEqual(['deadline_unreachable', 5010]);
  });

  it.each([{ policy: 'vtc' }, { policy: 'fcfs', fairness: 'vtc' }] as const)(
    'refuses what finds no room where nobody may wait: %o',
    async (way) => {
      const outcomes = await simulate({ arrivals: taught.slice(0, 3), places: 1, queueMax: 0, settings: way });
      expect(outcomes.map(({ code }) => code)).toEqual([undefined, 'queue_full', 'queue_full']);
    },
  );
});

describe('shortest first', () => {
  it('lowers the mean wait of a loaded queue to less than half of first come, first served', async () => {
    const list = Array.from({ length: 400 }, (_, index): Arrival => ({
      atMs: index * 12,
      promptTokens: 20,
      outputTokens: index % 10 === 0 ? 90 : 4,
    }));
    const meanWait = async (policy: 'fcfs' | 'mlfq' | 'srtf') => {
      const outcomes = await simulate({ arrivals: list, places: 5, settings: { policy, agingMs: 1e6 } });
      return outcomes.reduce((sum, { arrival, sentAtMs = 0 }) => sum + sentAtMs - arrival.atMs, 0) / list.length;
    };
    const [fcfs, mlfq, srtf] = [await meanWait('fcfs'), await meanWait('mlfq'), await meanWait('srtf')];
    expect(mlfq).toBeLessThan(fcfs / 2);
    expect(srtf).toBeLessThan(fcfs / 2);
  });
});
