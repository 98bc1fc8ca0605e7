import { expect, it } from 'vitest';
import type { AnswerEntry } from '../../src/response-cache/answer-entry.ts';
import { AnswerStore } from '../../src/response-cache/answer-store.ts';
import { MemoryLevel } from '../../src/response-cache/levels/memory-level.ts';

const entryOf = (keptAtMs: number): AnswerEntry => ({
  tenant: '',
  model: 'm',
  engine: undefined,
  tier: undefined,
  form: 'any',
  parts: [],
  keptAtMs,
  expiresAtMs: 100,
  goneAtMs: 100,
  computeMs: 1,
});

it('an answer that was computed anew is not replaced by the one that the shared level still has', async () => {
  const shared = new MemoryLevel<AnswerEntry>({ maxBytes: 65_536, bytesOf: () => 1, now: () => 10 });
  const store = new AnswerStore({ maxBytes: 65_536, shared, now: () => 10 });
  store.keep('refused', entryOf(2));
  store.keep('newer there', entryOf(2));
  shared.set('refused', entryOf(1), 100);
  shared.set('newer there', entryOf(3), 100);
  for (const [key, keptAtMs] of [
    ['refused', 2],
    ['newer there', 3],
  ] as const) {
    expect((await store.findShared(key))?.slot.entry.keptAtMs).toBe(keptAtMs);
    expect((await store.find(key))?.slot.entry.keptAtMs).toBe(keptAtMs);
  }
});
