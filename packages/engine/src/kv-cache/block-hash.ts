/** A hash of tokens[from, to) chained to the hash of what stands before them: a whole number below 2^53. */
export type BlockHash = (parent: number, tokens: Int32Array, from: number, to: number) => number;

/**
 * Two 32-bit multiply-and-rotate lanes (MurmurHash3, Appleby 2011) with different constants, joined to 53 bits: about one
 * collision in 10^8 for a million blocks. A collision costs a miss, never a wrong answer: whoever looks up compares tokens.
 */
export const hashBlock: BlockHash = (parent, tokens, from, to) => {
  let a = parent | 0;
  let b = Math.floor(parent / 2 ** 21) | 0;
  for (let index = from; index < to; index += 1) {
    const token = tokens[index] as number;
    a = Math.imul(rotate(a ^ Math.imul(rotate(Math.imul(token, 0xcc9e2d51), 15), 0x1b873593), 13), 5) + 0xe6546b64;
    b = Math.imul(rotate(b ^ Math.imul(rotate(Math.imul(token, 0x239b961b), 16), 0x38b34ae5), 17), 5) + 0x561ccd1b;
  }
  return (finish(a ^ b) >>> 11) * 2 ** 32 + (finish(b) >>> 0);
};

/** Where the chains of a scope begin. */
export function hashScope(scope: string): number {
  const units = Int32Array.from(scope, (character) => character.codePointAt(0) as number);
  return hashBlock(units.length, units, 0, units.length);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function finish(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
