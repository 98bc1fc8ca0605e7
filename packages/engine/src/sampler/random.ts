/** Uniform numbers in [0, 1), each of 53 random bits. */
export type Random = () => number;

/**
 * The same numbers for the same seed on every machine. Seeds are whole numbers, negative ones too: fractions are dropped,
 * and seeds beyond ±(2⁵³ − 1), where numbers skip integers, count as that bound. Throws RangeError for NaN.
 */
export function createRandom(seed: number): Random {
  const whole = Math.trunc(Math.min(Math.max(seed, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER));
  const fill = createSplitMix64(BigInt(whole));
  const [low, high] = [fill(), fill()];
  const next = createXoshiro128([low, low >> 32n, high, high >> 32n].map((word) => Number(BigInt.asIntN(32, word))));
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** xoshiro128** 1.1 (Blackman and Vigna 2018): 32 bits a call, from 128 bits of state that are not all zero. */
export function createXoshiro128(state: readonly number[]): () => number {
  let [a = 0, b = 0, c = 0, d = 0] = state;
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
}

/** SplitMix64 (Steele, Lea and Flood 2014), with which xoshiro's authors advise to fill its state. */
export function createSplitMix64(seed: bigint): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let mixed = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return mixed ^ (mixed >> 31n);
  };
}

function rotateLeft(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count));
}
