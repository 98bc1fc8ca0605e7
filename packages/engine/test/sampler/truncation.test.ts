import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCandidates, gather, lowestLogit, weigh, type Candidates } from '../../src/sampler/candidates.ts';
import { keepTopP } from '../../src/sampler/top-p.ts';
import { anyLogits, brokenLogits, normalLogits, ranked, softmax } from './support.ts';

const everything = -Number.MAX_VALUE;

function kept({ ids, count }: Candidates): number[] {
  return Array.from(ids.subarray(0, count)).sort((a, b) => a - b);
}

function gathered(logits: Float32Array, floor: number, k: number): number[] {
  const candidates = createCandidates(logits.length);
  gather(candidates, logits, floor, k);
  return kept(candidates);
}

function nucleus(logits: Float32Array, temperature: number, topP: number): { tokens: number[]; mass: number } {
  const candidates = createCandidates(logits.length);
  const greatest = Math.max(...logits);
  gather(candidates, logits, lowestLogit(greatest, temperature, 0), 0);
  const total = weigh(candidates, logits, greatest, temperature);
  const mass = keepTopP(candidates, topP, total) / total;
  return { tokens: kept(candidates), mass };
}

const sorted = (ids: readonly number[]) => [...ids].sort((a, b) => a - b);

describe('top-k', () => {
  test('keeps the k likeliest, of equals the lowest ids', () => {
    fc.assert(
      fc.property(anyLogits, fc.integer({ min: 1, max: 320 }), (logits, k) => {
        expect(gathered(logits, everything, k)).toEqual(sorted(ranked(logits).slice(0, k)));
      }),
      { numRuns: 500 },
    );
  });

  test('keeps the k likeliest of a large vocabulary, in whatever order it comes', () => {
    const logits = normalLogits(5_000, 4, 3);
    const orders = { random: logits, ascending: logits.toSorted(), descending: logits.toSorted().toReversed(), equal: logits.map(() => 1) };
    for (const [order, values] of Object.entries(orders)) {
      const best = ranked(values);
      for (const k of [1, 40, 1_000, 4_999, 5_000, 9_000])
        expect(gathered(values, everything, k), `${order}, ${k}`).toEqual(sorted(best.slice(0, k)));
    }
  });

  test('0 keeps all', () => {
    expect(gathered(Float32Array.of(3, 1, 2), everything, 0)).toEqual([0, 1, 2]);
  });
});

describe('min-p', () => {
  test('keeps what is at least so likely against the likeliest', () => {
    fc.assert(
      fc.property(
        anyLogits,
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 0.2, max: 2, noNaN: true }),
        (logits, minP, temperature) => {
          const greatest = Math.max(...logits);
          const tokens = gathered(logits, lowestLogit(greatest, temperature, minP), 0);
          const probabilities = softmax(logits, temperature);
          const least = minP * Math.max(...probabilities);
          for (const [token, probability] of probabilities.entries()) {
            if (Math.abs(probability - least) < least * 1e-9) continue;
            expect(tokens.includes(token)).toBe(probability > least);
          }
        },
      ),
    );
  });

  test('1 keeps the likeliest and its equals; 0 keeps all that can ever be drawn', () => {
    const logits = Float32Array.of(2, -30, 5, 5, -200);
    expect(gathered(logits, lowestLogit(5, 1, 1), 0)).toEqual([2, 3]);
    expect(gathered(logits, lowestLogit(5, 1, 0), 0)).toEqual([0, 1, 2, 3]);
  });
});

test('NaN and −∞ are never gathered', () => {
  fc.assert(
    fc.property(brokenLogits, fc.integer({ min: 0, max: 10 }), (logits, k) => {
      expect(gathered(logits, everything, k).every((id) => Number.isFinite(logits[id]))).toBe(true);
    }),
  );
});

describe('top-p', () => {
  const temperature = fc.double({ min: 0.2, max: 2, noNaN: true });
  const topP = fc.double({ min: 0, max: 1, noNaN: true });
  const rounding = 1e-5; // weights have 24 bits

  test('keeps the fewest of the likeliest that hold the mass', () => {
    fc.assert(
      fc.property(anyLogits, temperature, topP, (logits, heat, wanted) => {
        const { tokens, mass } = nucleus(logits, heat, wanted);
        const probabilities = softmax(logits, heat);
        const massOf = (ids: readonly number[]) => ids.reduce((sum, id) => sum + (probabilities[id] as number), 0);
        const best = ranked(logits).slice(0, tokens.length);
        expect(massOf(tokens)).toBeCloseTo(massOf(best), 5);
        expect(mass).toBeCloseTo(massOf(tokens), 5);
        expect(massOf(tokens)).toBeGreaterThanOrEqual(wanted - rounding);
        expect(massOf(best.slice(0, -1))).toBeLessThan(wanted + rounding);
      }),
      { numRuns: 500 },
    );
  });

  test('of equals the lowest ids stay', () => {
    expect(nucleus(new Float32Array(10), 1, 0.35).tokens).toEqual([0, 1, 2, 3]);
  });

  test('0 keeps the likeliest alone, 1 keeps all', () => {
    expect(nucleus(Float32Array.of(1, 3, 3, 2), 1, 0).tokens).toEqual([1]);
    expect(nucleus(Float32Array.of(1, 3, 3, -20), 1, 1).tokens).toEqual([0, 1, 2, 3]);
  });

  test('agrees with sorting on a large vocabulary', () => {
    const logits = normalLogits(20_000, 3, 9);
    const probabilities = softmax(logits, 1);
    for (const wanted of [0.1, 0.5, 0.9, 0.99]) {
      let mass = 0;
      const best = ranked(logits);
      const needed = best.findIndex((id) => (mass += probabilities[id] as number) >= wanted) + 1;
      expect(nucleus(logits, 1, wanted).tokens).toEqual(sorted(best.slice(0, needed)));
    }
  });
});
