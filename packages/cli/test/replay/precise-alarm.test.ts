import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { PreciseAlarm } from '../../src/replay/generator/precise-alarm.ts';

function open() {
  const state = { nowMs: 0, roughAtMs: undefined as number | undefined, rings: 0, looks: 0 };
  const now = () => {
    state.looks += 1;
    return state.nowMs;
  };
  const alarm = new PreciseAlarm({ now, setRough: (atMs) => (state.roughAtMs = atMs), onRing: () => (state.rings += 1) });
  return { alarm, state };
}

describe('an alarm that turns the loop before its moment', () => {
  it('for three tenths of the time until then, and at most a millisecond', () => {
    const { alarm, state } = open();
    alarm.set(1);
    expect(state.roughAtMs).toBeCloseTo(0.7);
    alarm.set(100);
    expect(state.roughAtMs).toBe(99);
    state.nowMs = 99.5;
    alarm.set(99);
    expect(state.roughAtMs).toBe(99);
  });

  it('rings once, at the moment, however often anybody looks', async () => {
    const { alarm, state } = open();
    alarm.set(10);
    state.nowMs = 9.2;
    alarm.look();
    await nextTurn();
    expect(state.rings).toBe(0);
    state.nowMs = 10;
    await nextTurn();
    await nextTurn();
    alarm.look();
    expect(state.rings).toBe(1);
  });

  it('asks again for a rough alarm that rang too early, unless none is set', () => {
    const { alarm, state } = open();
    alarm.ring();
    expect(state.roughAtMs).toBeUndefined();
    alarm.set(10);
    state.roughAtMs = undefined;
    state.nowMs = 8.999;
    alarm.ring();
    expect([state.roughAtMs, state.rings]).toEqual([9, 0]);
    state.nowMs = 10;
    alarm.ring();
    expect(state.rings).toBe(1);
  });

  it('stops turning when the moment is moved away', async () => {
    const { alarm, state } = open();
    alarm.set(10);
    state.nowMs = 9.5;
    alarm.look();
    alarm.set(20);
    state.nowMs = 15;
    await nextTurn();
    const { looks } = state;
    for (let turn = 0; turn < 3; turn += 1) await nextTurn();
    expect(state).toEqual({ nowMs: 15, roughAtMs: 19, rings: 0, looks });
  });
});
