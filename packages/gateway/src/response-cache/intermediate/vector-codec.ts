import type { Codec } from '../levels/redis-level.ts';

/** What a text's embedding was, and what it cost. */
export interface KeptVector {
  readonly vector: Float32Array;
  /** Of the text. */
  readonly tokens: number;
}

/** A number of tokens and the vector's bytes in base64, little-endian as on every machine that we run on. */
export const vectorCodec: Codec<KeptVector> = {
  encode: ({ vector, tokens }) => `${tokens} ${Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')}`,
  decode(text) {
    const [, tokens, base64] = /^(\d{1,7}) ([\w+/]+=*)$/.exec(text) ?? [];
    if (tokens === undefined || base64 === undefined) return undefined;
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
    const vector = new Float32Array(bytes.buffer);
    return vector.every(Number.isFinite) ? { vector, tokens: Number(tokens) } : undefined;
  },
};
