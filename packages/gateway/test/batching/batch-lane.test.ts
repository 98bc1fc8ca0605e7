import { describe, expect, it } from 'vitest';
import { BatchLane, type BatchLaneLoad } from '../../src/engines/batching/batch-lane.ts';

const callMs = 50;

interface Sent {
  readonly lane: 'realtime' | 'batch';
  readonly texts: number;
  readonly endsAtMs: number;
}

interface Load {
  /** Texts in real time that come each millisecond, and in how many requests. */
  readonly realtime: number;
  readonly perCall: number;
  readonly durationMs: number;
}

/** A server that takes any number of calls at once, each of the same time, and a batch lane that always has more. */
function simulate(batchShareMin: number, sizeMax: number, loads: readonly Load[]) {
  const lane = new BatchLane({ sizeMax, batchShareMin });
  const running = { realtime: 0, batch: 0 };
  const load = (nowMs: number): BatchLaneLoad => ({ running, waiting: { realtime: 0, batch: 500 }, nowMs });
  const under: Sent[] = [];
  const all: Sent[] = [];
  let batchRunningMax = 0;
  const send = (own: Sent['lane'], texts: number, nowMs: number) => {
    lane.onSend(own, texts, load(nowMs));
    running[own] += 1;
    const sent = { lane: own, texts, endsAtMs: nowMs + callMs };
    under.push(sent);
    all.push(sent);
  };
  let nowMs = 0;
  for (const { realtime, perCall, durationMs } of loads) {
    for (const endMs = nowMs + durationMs; nowMs < endMs; nowMs += 1) {
      for (; (under[0]?.endsAtMs ?? Infinity) <= nowMs; under.shift()) running[(under[0] as Sent).lane] -= 1;
      if (realtime > 0 && nowMs % (perCall / realtime) === 0) {
        lane.onRealtime(nowMs);
        send('realtime', perCall, nowMs);
      }
      for (let room = lane.room(load(nowMs)); room > 0; room = lane.room(load(nowMs))) send('batch', room, nowMs);
      batchRunningMax = Math.max(batchRunningMax, running.batch);
    }
  }
  const texts = (own: Sent['lane'], fromMs = 0) =>
    all.reduce((sum, { lane: of, texts: count, endsAtMs }) => sum + (of === own && endsAtMs - callMs >= fromMs ? count : 0), 0);
  return {
    all,
    shareFrom: (fromMs: number) => texts('batch', fromMs) / (texts('batch', fromMs) + texts('realtime', fromMs)),
    batchRunningMax,
  };
}

describe('the batch lane before another server', () => {
  const busy = (perCall: number): Load => ({ realtime: 8, perCall, durationMs: 20_000 });

  for (const sizeMax of [1, 4, 16, 64]) {
    for (const share of [0.1, 0.3, 0.6]) {
      it(`has its share of what is sent, however much comes in real time: ${share} with ${sizeMax} texts a call`, () => {
        for (const perCall of [8, 16, 2048]) {
          const { shareFrom } = simulate(share, sizeMax, [busy(perCall)]);
          expect(shareFrom(0)).toBeGreaterThan(share - 0.01);
          expect(shareFrom(0)).toBeLessThan(share + 0.01);
        }
      });
    }
  }

  it('has what real time leaves where that is more, one short call at a time', () => {
    const { all, shareFrom, batchRunningMax } = simulate(0.1, 16, [{ realtime: 0.02, perCall: 1, durationMs: 20_000 }]);
    expect(batchRunningMax).toBe(1);
    expect(all.filter(({ lane }) => lane === 'batch').every(({ texts }) => texts === 4)).toBe(true);
    expect(shareFrom(0)).toBeGreaterThan(0.7);
  });

  it('does not pay later for what it had while it was alone', () => {
    const { shareFrom } = simulate(0.1, 64, [
      { realtime: 0, perCall: 1, durationMs: 5000 },
      { realtime: 8, perCall: 16, durationMs: 1000 },
    ]);
    expect(shareFrom(5000)).toBeGreaterThan(0.09);
  });

  it('pays for no more than a call where real time left it much', () => {
    const { shareFrom } = simulate(0.1, 16, [
      { realtime: 0.02, perCall: 1, durationMs: 20_000 },
      { realtime: 8, perCall: 16, durationMs: 1000 },
    ]);
    expect(shareFrom(20_000)).toBeGreaterThan(0.09);
  });

  it('ends, with the largest share that may be configured', () => {
    const { shareFrom } = simulate(0.95, 16, [busy(16)]);
    expect(shareFrom(0)).toBeGreaterThan(0.9);
    expect(shareFrom(0)).toBeLessThan(1);
  });
});
