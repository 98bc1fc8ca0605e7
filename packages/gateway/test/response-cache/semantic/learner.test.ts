import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/response-cache/semantic/confidence/decide.ts';
import { EntryRecord } from '../../../src/response-cache/semantic/confidence/entry-record.ts';
import { Evidence } from '../../../src/response-cache/semantic/confidence/evidence.ts';
import { Learner } from '../../../src/response-cache/semantic/confidence/learner.ts';
import type { Wording } from '../../../src/response-cache/semantic/rules/wording.ts';

/** 0 … 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The share of right answers at a similarity. */
type World = (similarity: number, key: number) => number;

interface Tally {
  served: number;
  wrong: number;
}

/** Requests one after the other; what is not served is checked. */
function live(
  learner: Learner,
  world: World,
  { requests, entries, wording, random }: { requests: number; entries: number; wording: Wording; random: () => number },
): Tally {
  const tally = { served: 0, wrong: 0 };
  for (let request = 0; request < requests; request += 1) {
    const key = Math.floor(random() * entries);
    const candidate = { key: String(key), similarity: 0.8 + random() * 0.2, wording };
    const isRight = random() < world(candidate.similarity, key);
    if (learner.decide(candidate) !== 'serve') {
      learner.learn(candidate, isRight);
      continue;
    }
    tally.served += 1;
    if (!isRight) tally.wrong += 1;
  }
  return tally;
}

const sharp: World = (similarity) => (similarity > 0.95 ? 1 : 0.6);
const hopeless: World = () => 0.8;

describe('the learner', () => {
  it('serves nothing before checks have shown that it may, but for texts that hardly differ', () => {
    const learner = new Learner({ errorMax: 0.02, checkShare: 0, entriesMax: 100, random: () => 0.999 });
    for (const wording of ['same-words', 'one-word', 'few-words', 'other-words'] as const)
      expect(learner.decide({ key: 'k', similarity: 1, wording })).toBe('distrust');
    expect(learner.decide({ key: 'k', similarity: 1, wording: 'same-text' })).toBe('serve');
  });

  it('keeps the share of wrong answers under the limit where some similarities can be trusted, and finds them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.constantFrom(0.01, 0.02, 0.05), (seed, errorMax) => {
        const random = randomOf(seed);
        const learner = new Learner({ errorMax, checkShare: 0.05, entriesMax: 1000, random });
        const { served, wrong } = live(learner, sharp, { requests: 20_000, entries: 200, wording: 'same-words', random });
        expect(served).toBeGreaterThan(1000);
        expect(wrong / served).toBeLessThanOrEqual(errorMax);
        expect(learner.evidence.threshold('same-words') ?? 0).toBeGreaterThanOrEqual(0.94);
      }),
      { numRuns: 25 },
    );
  });

  it('hardly ever serves where every fifth answer is wrong', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), (seed) => {
        const random = randomOf(seed);
        const learner = new Learner({ errorMax: 0.01, checkShare: 0.05, entriesMax: 1000, random });
        const { wrong } = live(learner, hopeless, { requests: 10_000, entries: 50, wording: 'one-word', random });
        expect(wrong / 10_000).toBeLessThanOrEqual(0.01);
      }),
      { numRuns: 25 },
    );
  });

  it('notices a drift by its checks, and is under the limit again afterwards', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), (seed) => {
        const random = randomOf(seed);
        const errorMax = 0.02;
        const learner = new Learner({ errorMax, checkShare: 0.05, entriesMax: 1000, random });
        const options = { entries: 200, wording: 'same-words' as const, random };
        live(learner, () => 0.999, { ...options, requests: 10_000 });
        // From now on every second answer that was right is wrong.
        const after = live(learner, () => 0.5, { ...options, requests: 10_000 });
        expect(after.served).toBeLessThan(5000);
        const later = live(learner, () => 0.5, { ...options, requests: 10_000 });
        expect(later.wrong / 10_000).toBeLessThanOrEqual(errorMax);
      }),
      { numRuns: 15 },
    );
  });

  it('distrusts the one entry that was wrong, and no other for it', () => {
    const learner = new Learner({ errorMax: 0.01, checkShare: 0, entriesMax: 1000, random: () => 0.999 });
    for (let key = 0; key < 500; key += 1) learner.learn({ key: String(key), similarity: 0.97, wording: 'same-words' }, true);
    learner.learn({ key: 'bad', similarity: 0.97, wording: 'same-words' }, false);
    expect(learner.decide({ key: 'bad', similarity: 0.97, wording: 'same-words' })).toBe('distrust');
    expect(learner.decide({ key: 'bad', similarity: 0.96, wording: 'same-words' })).toBe('distrust');
    expect(learner.decide({ key: 'good', similarity: 0.97, wording: 'same-words' })).toBe('serve');
    learner.forget('bad');
    expect(learner.decide({ key: 'bad', similarity: 0.97, wording: 'same-words' })).toBe('serve');
  });

  it('trusts a wording no further down than it was checked', () => {
    const evidence = new Evidence(0.02);
    for (let check = 0; check < 500; check += 1) evidence.add('one-word', { similarity: 0.985, isRight: true });
    expect(evidence.belief('one-word', 0.985).error).toBeLessThan(0.02);
    expect(evidence.belief('one-word', 0.9).error).toBe(1);
    expect(evidence.belief('few-words', 0.985).error).toBe(1);
    expect(evidence.threshold('one-word')).toBe(0.98);
    expect(evidence.counts('one-word').wrong).toBe(0);
  });

  it('remembers a bounded number of entries, and of each a bounded number of checks', () => {
    const learner = new Learner({ errorMax: 0.01, checkShare: 0, entriesMax: 2, random: () => 0.999 });
    for (let check = 0; check < 500; check += 1) learner.learn({ key: 'others', similarity: 0.97, wording: 'same-words' }, true);
    for (const key of ['a', 'b', 'c']) learner.learn({ key, similarity: 0.97, wording: 'same-words' }, false);
    const error = (key: string) => learner.belief({ key, similarity: 0.97, wording: 'same-words' }).error;
    expect(error('b')).toBeGreaterThan(0.03);
    expect(error('a')).toBeLessThan(0.03);
    const record = new EntryRecord();
    record.add({ similarity: 0.9, isRight: false });
    for (let check = 0; check < 32; check += 1) record.add({ similarity: 0.9, isRight: true });
    expect(record.belief(0.9, { error: 0, checks: 100 }).error).toBe(0);
  });
});

describe('decide', () => {
  const trusted = { error: 0.001, checks: 1e6, errorMax: 0.01, checkShare: 0.1 };
  it('checks its share of what it trusts, and more while it rests on little', () => {
    expect(decide({ ...trusted, random: 0.05 })).toBe('check');
    expect(decide({ ...trusted, random: 0.15 })).toBe('serve');
    expect(decide({ ...trusted, checks: 50, random: 0.45 })).toBe('check');
    expect(decide({ ...trusted, checks: 50, random: 0.55 })).toBe('serve');
    expect(decide({ ...trusted, error: 0.011, random: 0.99 })).toBe('distrust');
  });
});
