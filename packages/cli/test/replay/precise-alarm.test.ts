import { describe, expect, it } from 'vitest';
import { PreciseAlarm } from '../../src/replay/generator/precise-alarm.ts';

function open() {
  const state = { nowMs: 0, roughAtMs: undefined as number | undefined, rings: 0 };
  const alarm = new PreciseAlarm({
    now: () => state.nowMs,
    setRough: (atMs) => (state.roughAtMs = atMs),
    onRing: () => (state.rings += 1),
  });
  return { alarm, state };
}

describe('an alarm that rings for whoever looks first', () => {
  it('rings once, at the moment, however often anybody looks', () => {
    const { alarm, state } = open();
    alarm.set(10);
    expect(state.roughAtMs).toBe(10);
    state.nowMs = 9.9;
    alarm.look();
    expect(state.rings).toBe(0);
    state.nowMs = 10;
    alarm.look();
    alarm.look();
    alarm.ring();
    expect(state.rings).toBe(1);
  });

  it('asks again for a rough alarm that rang too early, unless none is set', () => {
    const { alarm, state } = open();
    alarm.ring();
    expect(state.roughAtMs).toBeUndefined();
    alarm.set(10);
    state.roughAtMs = undefined;
    state.nowMs = 9.999;
    alarm.ring();
    expect([state.roughAtMs, state.rings]).toEqual([10, 0]);
    state.nowMs = 10;
    alarm.ring();
    expect(state.rings).toBe(1);
  });

  it('does not ring at a moment that was moved away', () => {
    const { alarm, state } = open();
    alarm.set(10);
    alarm.set(20);
    state.nowMs = 15;
    alarm.ring();
    expect([state.roughAtMs, state.rings]).toEqual([20, 0]);
  });
});
