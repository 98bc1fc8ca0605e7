import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib';

export type ContentEncoding = 'gzip' | 'deflate' | 'br' | 'zstd';

export interface InflateTask {
  readonly bodies: readonly { readonly encoding: ContentEncoding; readonly bytes: Uint8Array }[];
  /** A body that is larger than this when it is unpacked is not unpacked. */
  readonly bytesMax: number;
}

export type Inflated = { readonly bytes: Uint8Array } | { readonly problem: 'larger' | 'broken'; readonly reason: string };

const unpack: Readonly<Record<ContentEncoding, (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array>> = {
  gzip: gunzipSync,
  // HTTP's deflate has zlib's frame; some clients leave it out.
  deflate: (bytes, options) => (((bytes[0] ?? 0) & 0x0f) === 8 ? inflateSync(bytes, options) : inflateRawSync(bytes, options)),
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** Runs in a thread of the pool. */
export default function inflateAll({ bodies, bytesMax }: InflateTask): Inflated[] {
  return bodies.map(({ encoding, bytes }) => {
    try {
      // A copy of its own: what zlib returns may be a part of a larger buffer, which would cross as a whole.
      return { bytes: new Uint8Array(unpack[encoding](bytes, { maxOutputLength: bytesMax })) };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return { problem: code === 'ERR_BUFFER_TOO_LARGE' ? 'larger' : 'broken', reason: message };
    }
  });
}
