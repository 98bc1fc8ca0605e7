import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QuestionIndex } from '../../../src/response-cache/semantic/index/question-index.ts';

const dimensions = 64;
const unbounded = { entriesMax: 1e6, bytesMax: 1e12 };

/** Deterministic, of length 1. */
function vectorOf(seed: number): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  const vector = Float32Array.from({ length: dimensions }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return unit(vector);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

/** Between a and b. */
function near(a: Float32Array, b: Float32Array, share: number): Float32Array {
  return unit(a.map((value, at) => value + share * (b[at] as number)));
}

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
}

describe('QuestionIndex', () => {
  it('takes hardly more memory for vectors than it says where each question is a conversation of its own', () => {
    const index = new QuestionIndex(unbounded);
    const before = process.memoryUsage().arrayBuffers;
    const long = new Float32Array(4096).fill(1 / 64);
    for (let at = 0; at < 1000; at += 1) index.add({ key: String(at), scope: String(at), text: 'a' }, long);
    // What every index has once is no part of it.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * index.bytes);
  });

  it('finds what comparing all would find, most similar first, in its own scope', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ seed: fc.nat(1e6), share: fc.double({ min: 0, max: 1.5, noNaN: true }), scope: fc.constantFrom('a', 'b') }), {
          maxLength: 60,
        }),
        fc.double({ min: 0.7, max: 0.99, noNaN: true }),
        (entries, similarityMin) => {
          const index = new QuestionIndex(unbounded);
          const asked = vectorOf(7);
          const all = entries.map(({ seed, share, scope }, at) => ({
            key: String(at),
            scope,
            text: `text ${at}`,
            vector: near(asked, vectorOf(seed + 10), share),
          }));
          for (const entry of all) index.add(entry, entry.vector);
          const found = index.find('a', asked, similarityMin, 100);
          // Eight bits a dimension leave a little doubt at the edge.
          const keys = new Set(found.map(({ key }) => key));
          for (const { key, scope, vector } of all) {
            const exact = cosine(vector, asked);
            if (scope === 'a' && exact > similarityMin + 0.005) expect(keys).toContain(key);
            if (scope === 'b' || exact < similarityMin - 0.005) expect(keys).not.toContain(key);
          }
          for (const { key, similarity, text } of found) {
            expect(Math.abs(similarity - cosine((all[Number(key)] as (typeof all)[0]).vector, asked))).toBeLessThan(0.005);
            expect(text).toBe(`text ${key}`);
          }
          expect(found.map(({ similarity }) => similarity)).toEqual(found.map(({ similarity }) => similarity).toSorted((a, b) => b - a));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('holds what was added and not deleted, within its bounds, whatever comes in what order', () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), key: fc.integer({ min: 0, max: 30 }), scope: fc.constantFrom('a', 'b', 'c') }),
      fc.record({
        kind: fc.constantFrom('delete' as const, 'touch' as const),
        key: fc.integer({ min: 0, max: 30 }),
        scope: fc.constant('a'),
      }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), fc.integer({ min: 1, max: 12 }), (commands, entriesMax) => {
        const index = new QuestionIndex({ entriesMax, bytesMax: 1e9 });
        // Least recently used first.
        const model = new Map<number, string>();
        for (const { kind, key, scope } of commands) {
          if (kind === 'add') {
            index.add({ key: String(key), scope, text: 'x' }, vectorOf(key));
            model.delete(key);
            model.set(key, scope);
            if (model.size > entriesMax) model.delete(model.keys().next().value as number);
          } else if (kind === 'delete') {
            expect(index.delete(String(key))).toBe(model.delete(key));
          } else {
            index.touch(String(key));
            const held = model.get(key);
            if (held !== undefined && model.delete(key)) model.set(key, held);
          }
          expect(index.size).toBe(model.size);
        }
        for (let key = 0; key <= 30; key += 1) {
          for (const scope of ['a', 'b', 'c'])
            expect(index.find(scope, vectorOf(key), 0.99, 5).some((found) => found.key === String(key))).toBe(model.get(key) === scope);
        }
        for (const key of model.keys()) index.delete(String(key));
        expect([index.size, index.bytes]).toEqual([0, 0]);
      }),
      { numRuns: 150 },
    );
  });

  it('stays within its bytes, and keeps nothing that alone is larger', () => {
    const index = new QuestionIndex({ entriesMax: 1e6, bytesMax: 20_000 });
    for (let key = 0; key < 1000; key += 1) {
      index.add({ key: String(key), scope: 's', text: 'x'.repeat(key % 50) }, vectorOf(key));
      expect(index.bytes).toBeLessThanOrEqual(20_000);
    }
    expect(index.size).toBeGreaterThan(10);
    index.add({ key: 'huge', scope: 's', text: 'x'.repeat(20_000) }, vectorOf(1));
    expect(index.find('s', vectorOf(1), 0.9, 5)).toEqual([]);
    expect(index.size).toBeGreaterThan(10);
  });

  it('begins anew with vectors of another model', () => {
    const index = new QuestionIndex(unbounded);
    index.add({ key: 'old', scope: 's', text: 'x' }, vectorOf(1));
    expect(index.find('s', new Float32Array([1, 0]), 0, 5)).toEqual([]);
    index.add({ key: 'new', scope: 's', text: 'x' }, new Float32Array([1, 0]));
    expect(index.size).toBe(1);
    expect(index.find('s', new Float32Array([1, 0]), 0.9, 5)).toMatchObject([{ key: 'new' }]);
  });
});
