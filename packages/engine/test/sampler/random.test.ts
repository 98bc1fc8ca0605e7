import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom, createSplitMix64, createXoshiro128 } from '../../src/sampler/random.ts';

function take<Value>(count: number, next: () => Value): Value[] {
  return Array.from({ length: count }, () => next());
}

test("xoshiro128** gives its authors' numbers", () => {
  expect(take(10, createXoshiro128([1, 2, 3, 4]))).toEqual([
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ]);
});

test("SplitMix64 gives its authors' numbers", () => {
  expect(take(5, createSplitMix64(1234567n))).toEqual([
    6457827717110365317n,
    3203168211198807973n,
    9817491932198370423n,
    4593380528125082431n,
    16408922859458223821n,
  ]);
});

test('the same seed gives the same numbers, all in [0, 1)', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (seed) => {
      const numbers = take(20, createRandom(seed));
      expect(take(20, createRandom(seed))).toEqual(numbers);
      expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    }),
  );
});

test('neighbouring and negative seeds give other numbers', () => {
  const seeds = [-1, 0, 1, 2, -2, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  expect(new Set(seeds.map((seed) => createRandom(seed)())).size).toBe(seeds.length);
});

test('seeds beyond what a number can tell apart count as the bound', () => {
  const first = (seed: number) => createRandom(seed)();
  for (const seed of [2 ** 53, 2 ** 60, 1e300, Infinity]) {
    expect(first(seed)).toBe(first(Number.MAX_SAFE_INTEGER));
    expect(first(-seed)).toBe(first(Number.MIN_SAFE_INTEGER));
  }
  expect(first(7.9)).toBe(first(7));
});

test('numbers are uniform', () => {
  const bins = Array.from({ length: 64 }, () => 0);
  const random = createRandom(5);
  for (let draw = 0; draw < 64_000; draw += 1) {
    const bin = Math.floor(random() * 64);
    bins[bin] = (bins[bin] as number) + 1;
  }
  expect(Math.min(...bins)).toBeGreaterThan(850);
  expect(Math.max(...bins)).toBeLessThan(1150);
});
