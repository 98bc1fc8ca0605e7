/** Bits of a signature. */
export const signatureBits = 256;
/** Of 32 bits. */
export const signatureWords = signatureBits / 32;
/** How far from the expected distance a pair may lie before it is overlooked, in standard deviations: 1 pair in 30,000. */
const deviations = 4;

/**
 * Signatures of vectors by the sides of random planes they lie on (SimHash, Charikar 2002): two vectors differ in about as large a
 * share of the bits as their angle is of a half turn. Comparing signatures costs a fiftieth of comparing vectors.
 */
export class Signatures {
  /** Each plane's normal: +1 or -1 for each dimension. */
  readonly #planes: Int8Array;
  readonly #dimensions: number;

  constructor(dimensions: number) {
    this.#dimensions = dimensions;
    this.#planes = new Int8Array(signatureBits * dimensions);
    let state = 0x2545f491;
    for (let at = 0; at < this.#planes.length; at += 1) {
      // xorshift32: the same planes in every process.
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      this.#planes[at] = state & 0x10000 ? 1 : -1;
    }
  }

  of(vector: Float32Array): Uint32Array {
    const signature = new Uint32Array(signatureWords);
    for (let bit = 0; bit < signatureBits; bit += 1) {
      const from = bit * this.#dimensions;
      let sum = 0;
      for (let at = 0; at < this.#dimensions; at += 1) sum += (this.#planes[from + at] as number) * (vector[at] as number);
      if (sum > 0) (signature[bit >> 5] as number) |= 1 << (bit & 31);
    }
    return signature;
  }
}

/** The most bits in which vectors of at least this cosine may differ. */
export function distanceMax(cosine: number): number {
  const share = Math.acos(Math.min(1, Math.max(-1, cosine))) / Math.PI;
  return Math.ceil(signatureBits * share + deviations * Math.sqrt(signatureBits * share * (1 - share)));
}

/** Calls back with every row of `rows` (signatures one after the other) that differs from `signature` in at most so many bits. */
export function scan(
  rows: Uint32Array,
  count: number,
  signature: Uint32Array,
  distance: number,
  onNear: (row: number, bits: number) => void,
): void {
  const [a, b, c, d, e, f, g, h] = signature as unknown as [number, number, number, number, number, number, number, number];
  for (let row = 0, at = 0; row < count; row += 1, at += signatureWords) {
    // Half of the bits rule out nearly everything.
    let bits =
      popcount((rows[at] as number) ^ a) +
      popcount((rows[at + 1] as number) ^ b) +
      popcount((rows[at + 2] as number) ^ c) +
      popcount((rows[at + 3] as number) ^ d);
    if (bits > distance) continue;
    bits +=
      popcount((rows[at + 4] as number) ^ e) +
      popcount((rows[at + 5] as number) ^ f) +
      popcount((rows[at + 6] as number) ^ g) +
      popcount((rows[at + 7] as number) ^ h);
    if (bits <= distance) onNear(row, bits);
  }
}

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
