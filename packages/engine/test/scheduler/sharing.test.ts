import fc from 'fast-check';
import type { Lane } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { batchPlaces, LaneShare, placesFor } from '../../src/scheduler/lane-share.ts';
import { chooseYielder, type Holder } from '../../src/scheduler/preemption.ts';
import { defaultSharing, inTurn, placeNow, type Ranked } from '../../src/scheduler/standing.ts';
import { chooseVictim } from '../../src/scheduler/victim.ts';

const notBegun = { generated: 0, placedAt: undefined, ranMs: 0 };
const ranked = fc.record({
  generated: fc.constant(0),
  placedAt: fc.constant(undefined),
  ranMs: fc.constant(0),
  order: fc.nat(1000),
  waitsSince: fc.nat(10_000),
  request: fc.record({
    standing: fc.record({
      lane: fc.constantFrom<Lane[]>('realtime', 'batch'),
      level: fc.nat(8),
      rank: fc.nat(100),
      expectedTokens: fc.integer({ min: 1, max: 100 }),
    }),
  }),
});
/** Whoever comes later has the larger order. */
const arrived = fc
  .array(ranked, { maxLength: 30 })
  .map((list) => [...list].sort((a, b) => a.waitsSince - b.waitsSince).map((one, order) => ({ ...one, order })));

describe('inTurn', () => {
  it('puts who has waited for the aging bound first, as they came, and orders the others by level, rank and arrival', () => {
    fc.assert(
      fc.property(arrived, fc.nat(10_000), fc.integer({ min: 1, max: 5000 }), (list, nowMs, agingMs) => {
        for (const lane of ['realtime', 'batch'] as const) {
          const turn = inTurn(list, lane, { nowMs, agingMs });
          expect(new Set(turn)).toEqual(new Set(list.filter(({ request }) => request.standing.lane === lane)));
          const isOld = ({ waitsSince }: Ranked) => nowMs - waitsSince >= agingMs;
          const firstYoung = turn.findIndex((one) => !isOld(one));
          expect(firstYoung === -1 ? [] : turn.slice(firstYoung).filter(isOld)).toEqual([]);
          for (let index = 1; index < turn.length; index += 1) {
            const [a, b] = [turn[index - 1] as (typeof list)[0], turn[index] as (typeof list)[0]];
            if (isOld(b)) expect(a.order).toBeLessThan(b.order);
            else if (!isOld(a))
              expect(
                [a.request.standing.level, a.request.standing.rank, a.order] <
                  [b.request.standing.level, b.request.standing.rank, b.order] || isBefore(a, b),
              ).toBe(true);
          }
        }
      }),
    );
  });

  it('leaves those without a standing in the order of arrival', () => {
    const list = [3, 1, 2].map((order) => ({ ...notBegun, order, waitsSince: 0, request: {} }));
    expect(inTurn(list, 'realtime', { nowMs: 1, agingMs: 10 }).map(({ order }) => order)).toEqual([1, 2, 3]);
    expect(inTurn(list, 'batch', { nowMs: 1, agingMs: 10 })).toEqual([]);
  });
});

function isBefore(a: Ranked, b: Ranked): boolean {
  const [one, other] = [a.request.standing, b.request.standing];
  return (
    (one?.level ?? 0) - (other?.level ?? 0) < 0 ||
    (one?.level === other?.level && ((one?.rank ?? 0) < (other?.rank ?? 0) || (one?.rank === other?.rank && a.order < b.order)))
  );
}

const holder = (lane: Lane, changes: Partial<Holder> = {}, level = 0): Holder => ({
  ...notBegun,
  order: 1,
  waitsSince: 0,
  computed: 10,
  request: { standing: { lane, level, rank: 0, expectedTokens: 100 } },
  ...changes,
});
const waiting = (lane: Lane, level = 0): Ranked => ({
  ...notBegun,
  order: 99,
  waitsSince: 0,
  request: { standing: { lane, level, rank: 0, expectedTokens: 100 } },
});

describe('chooseYielder', () => {
  it('takes a place from the batch lane for real time, from the one with the least to lose', () => {
    const cheap = holder('batch', { computed: 5 });
    expect(
      chooseYielder([holder('batch'), cheap, holder('realtime', { computed: 0 })], waiting('realtime'), {
        ...defaultSharing,
        batchPlacesMin: 0,
        nowMs: 0,
      }),
    ).toBe(cheap);
  });

  it('leaves the batch lane its share, and whoever is well on its way its place', () => {
    expect(
      chooseYielder([holder('batch'), holder('batch')], waiting('realtime'), { ...defaultSharing, batchPlacesMin: 2, nowMs: 0 }),
    ).toBeUndefined();
    expect(
      chooseYielder([holder('batch', { generated: 51 })], waiting('realtime'), { ...defaultSharing, batchPlacesMin: 0, nowMs: 0 }),
    ).toBeUndefined();
    expect(
      chooseYielder([holder('batch')], waiting('realtime'), { ...defaultSharing, batchYields: 'time_slice', batchPlacesMin: 0, nowMs: 0 }),
    ).toBeUndefined();
  });

  it('takes nothing within a lane from who has waited as long as anybody may be overtaken', () => {
    const long = holder('realtime', {}, 4);
    const turn = { ...defaultSharing, batchPlacesMin: 0 };
    expect(chooseYielder([long], waiting('realtime', 0), { ...turn, nowMs: defaultSharing.agingMs - 1 })).toBe(long);
    expect(chooseYielder([long], waiting('realtime', 0), { ...turn, nowMs: defaultSharing.agingMs })).toBeUndefined();
  });

  it('takes nothing from real time for batch, nor from what is about as long', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom<Lane[]>('realtime', 'batch'), fc.nat(8), fc.nat(100)), { maxLength: 12 }),
        fc.constantFrom<Lane[]>('realtime', 'batch'),
        fc.nat(8),
        fc.nat(3),
        (list, lane, level, keeps) => {
          const running = list.map(([own, ofLevel, generated], order) => holder(own, { generated, order }, ofLevel));
          const yielder = chooseYielder(running, waiting(lane, level), { ...defaultSharing, batchPlacesMin: keeps, nowMs: 0 });
          if (!yielder) return;
          const own = yielder.request.standing;
          expect(yielder.generated).toBeLessThanOrEqual(50);
          if (own?.lane === lane) expect(own.level).toBeGreaterThanOrEqual(level + 2);
          else expect([own?.lane, list.filter(([other]) => other === 'batch').length > keeps]).toEqual(['batch', true]);
        },
      ),
    );
  });
});

describe('sinking', () => {
  const slices = { timeSliceMs: 2, priorityWeight: 1.5 };
  const short = (changes: Partial<Holder> = {}) =>
    holder('realtime', { request: { standing: { lane: 'realtime', level: 3, rank: 10, expectedTokens: 10, slices } }, ...changes }, 3);

  it('begins when the slice of its level is used up, and goes on with what it takes', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }), (ranMs, heldMs) => {
        const { level } = placeNow(short({ ranMs, placedAt: 5 }), 5 + heldMs);
        const used = ranMs + heldMs;
        if (used <= 2 * 1.5 ** 3) {
          expect(level).toBe(3);
          return;
        }
        expect(2 * 1.5 ** level).toBeGreaterThanOrEqual(Math.min(used, 2 * 1.5 ** 63) * 0.999);
        expect(2 * 1.5 ** (level - 1)).toBeLessThanOrEqual(used * 1.001);
      }),
    );
  });

  it('ranks by what is left of the answer, and as at its beginning once nobody knows', () => {
    expect([0, 5, 9, 10, 50].map((generated) => placeNow(short({ generated }), 0).rank)).toEqual([10, 5, expect.closeTo(1), 10, 10]);
  });

  it('is of levels that are slices of work only', () => {
    expect(placeNow(holder('realtime', { ranMs: 1e6, generated: 50 }, 3), 0)).toMatchObject({ level: 3, rank: 0 });
  });

  it('lets who has outlived its prediction give way, where preemption is allowed for as long as a level adds', () => {
    const outlived = short({ generated: 30, ranMs: 400 });
    const turn = { ...defaultSharing, batchPlacesMin: 0, nowMs: 0 };
    expect(chooseYielder([outlived], waiting('realtime', 3), { ...turn, preemptibleShare: 1 })).toBe(outlived);
    expect(chooseYielder([outlived], waiting('realtime', 3), turn)).toBeUndefined();
    expect(chooseYielder([short({ generated: 5, ranMs: 4 })], waiting('realtime', 3), { ...turn, preemptibleShare: 1 })).toBeUndefined();
  });
});

describe('chooseVictim', () => {
  it('takes memory from the batch lane first, and never from the oldest', () => {
    expect(
      chooseVictim([
        holder('batch', { order: 0 }),
        holder('realtime', { order: 1, computed: 1 }),
        holder('batch', { order: 2, computed: 50 }),
      ])?.order,
    ).toBe(2);
    expect(chooseVictim([holder('batch', { order: 0 }), holder('realtime', { order: 1 })])?.order).toBe(1);
  });
});

describe('the batch lane', () => {
  it('has its places kept free while it waits, and no others', () => {
    expect(placesFor('realtime', 4, { realtime: 0, batch: 0 }, { realtime: 9, batch: 9 }, 2)).toBe(2);
    expect(placesFor('realtime', 4, { realtime: 0, batch: 0 }, { realtime: 9, batch: 0 }, 2)).toBe(4);
    expect(placesFor('realtime', 4, { realtime: 0, batch: 3 }, { realtime: 9, batch: 9 }, 2)).toBe(4);
    expect(placesFor('batch', 4, { realtime: 0, batch: 3 }, { realtime: 9, batch: 9 }, 2)).toBe(4);
    expect([batchPlaces(32, 0.1), batchPlaces(32, 0), batchPlaces(1, 1)]).toEqual([4, 0, 1]);
  });

  it('reads its share of prompt tokens beside real time that always has more', () => {
    for (const share of [0.1, 0.25, 0.5]) {
      const lanes = new LaneShare(share);
      const read = { realtime: 0, batch: 0 };
      for (let step = 0; step < 2000; step += 1) {
        const step256 = lanes.order(true)[0] === 'batch' ? { realtime: 0, batch: 256 } : { realtime: 256, batch: 0 };
        lanes.onPrompts(step256);
        read.realtime += step256.realtime;
        read.batch += step256.batch;
      }
      expect(read.batch / (read.batch + read.realtime)).toBeGreaterThan(share * 0.95);
      expect(read.batch / (read.batch + read.realtime)).toBeLessThan(share * 1.1 + 0.01);
    }
  });

  it('decodes in its share of the steps', () => {
    const lanes = new LaneShare(0.1);
    const count = Array.from({ length: 1000 }, () => Number(lanes.takeStep())).reduce((sum, one) => sum + one, 0);
    expect(count).toBeGreaterThanOrEqual(99);
    expect(count).toBeLessThanOrEqual(101);
  });
});
