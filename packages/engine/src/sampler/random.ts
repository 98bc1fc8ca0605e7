/** Uniform numbers in [0, 1) from a seed: PCG32 (O'Neill 2014), the same on every machine. */
export type Random = () => number;

export function createRandom(seed: number): Random {
  const multiplier = 6364136223846793005n;
  const increment = 1442695040888963407n;
  const mask = (1n << 64n) - 1n;
  let state = (BigInt(Math.trunc(seed)) * multiplier + increment) & mask;
  const next = () => {
    state = (state * multiplier + increment) & mask;
    const shifted = Number(((state >> 18n) ^ state) >> 27n & 0xffffffffn);
    const rotation = Number(state >> 59n);
    return ((shifted >>> rotation) | (shifted << (-rotation & 31))) >>> 0;
  };
  next();
  return () => next() / 2 ** 32;
}
