import { describe, expect, it } from 'vitest';
import { noBytes } from '../../src/replay/generator/exchange-facts.ts';
import { FactWriter } from '../../src/replay/generator/fact-log.ts';
import { LogReader } from '../../src/replay/generator/log-reader.ts';
import { Pace, sliceMs } from '../../src/replay/generator/pace.ts';

/** Each fact takes half a slice. */
function open(hurryBytes: number) {
  const state = { nowMs: 0, told: [] as number[], readBytes: 0, rests: 0, turns: [] as (() => void)[] };
  const pace = new Pace({ now: () => state.nowMs, rest: () => void (state.rests += 1) });
  const reader = new LogReader({
    pace,
    hurryBytes,
    tell(_kind, id) {
      state.told.push(id);
      state.nowMs += sliceMs / 2;
    },
    onRead: (bytes) => (state.readBytes += bytes),
    later: (work) => void state.turns.push(work),
  });
  /** Returns how many facts were told in it. */
  const turn = () => {
    const before = state.told.length;
    state.turns.shift()?.();
    return state.told.length - before;
  };
  return { reader, state, turn };
}

function logOf(ids: readonly number[]): Uint8Array {
  const logs: Uint8Array[] = [];
  const writer = new FactWriter((log) => void logs.push(log));
  for (const id of ids) writer.tell('sent', id, 0, 0, noBytes);
  writer.flush();
  return logs[0] as Uint8Array;
}

describe('a reader of logs beside the sender', () => {
  it('reads for the length of a slice, then rests, and reads everything in its order', async () => {
    const { reader, state, turn } = open(Infinity);
    const logs = [logOf([1, 2, 3]), logOf([4])];
    for (const log of logs) reader.add(log);
    expect(state.told).toEqual([]);
    expect([turn(), turn(), turn()]).toEqual([2, 1, 1]);
    expect(state.told).toEqual([1, 2, 3, 4]);
    // Not after the last: there is nothing that it would hold up.
    expect([state.rests, state.turns.length]).toEqual([2, 0]);
    expect(state.readBytes).toBe(logs.reduce((sum, { byteLength }) => sum + byteLength, 0));
    await reader.done;
    reader.add(logOf([5]));
    expect(turn()).toBe(1);
    await reader.done;
  });

  it('does not rest while so much is unread that the sender might be held up', () => {
    const log = logOf([1, 2, 3]);
    const { reader, state, turn } = open(log.byteLength);
    reader.add(log);
    reader.add(logOf([4, 5, 6]));
    turn();
    expect(state.rests).toBe(0);
    turn();
    turn();
    expect([state.told, state.rests]).toEqual([[1, 2, 3, 4, 5], 2]);
  });
});
