import os from 'node:os';
import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const pixels = Type.Integer({ minimum: 64, maximum: 1_000_000_000 });

/** What is done with requests before anybody answers them. */
export const inputSchema = Type.Object(
  {
    /** Threads for packed bodies and images, started when they are needed. */
    threads: Type.Integer({ minimum: 1, maximum: 64 }),
    /** Bodies, and images, that may wait for one; more are refused with 429. */
    waiting_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** Images in messages to models of other servers. Off, they go on as they came. */
    images: Type.Object(
      {
        enabled: Type.Boolean(),
        /** Larger ones are scaled down to so many. */
        pixels_max: pixels,
        /** The same by the name of a model. */
        models: Type.Record(Type.String({ minLength: 1 }), Type.Object({ pixels_max: pixels }, closed)),
        /** What they are encoded as; one that would not become smaller and needs no scaling stays as it is. */
        format: Type.Union([Type.Literal('jpeg'), Type.Literal('webp'), Type.Literal('png')]),
        /** Of JPEG and WebP. */
        quality: Type.Integer({ minimum: 1, maximum: 100 }),
        /** One that would have more when it is decoded is refused with 413, by its header. */
        decoded_pixels_max: Type.Integer({ minimum: 1024, maximum: 1_000_000_000 }),
        /** Of one image as it comes. */
        bytes_max: Type.Integer({ minimum: 1024, maximum: 1_073_741_824 }),
        /** In a request. */
        images_max: Type.Integer({ minimum: 1, maximum: 1024 }),
        /** Encoded images that are kept, for when the same one comes again. */
        cache_bytes: Type.Integer({ minimum: 0, maximum: 68_719_476_736 }),
        /** Images that a message names by their address: they are fetched from these hosts, and all others are refused. */
        fetch: Type.Object(
          {
            /** `images.example.com`, with a port where it is not the usual one; `*.example.com` is every host below it. */
            hosts: Type.Array(Type.String({ pattern: '^(\\*\\.)?[a-z0-9.\\[\\]:-]+$', maxLength: 255 }), { maxItems: 1000 }),
            /** Whether those hosts may have addresses of this machine or of a private network. */
            private_addresses: Type.Boolean(),
            timeout_ms: Type.Integer({ minimum: 1, maximum: 600_000 }),
          },
          closed,
        ),
      },
      closed,
    ),
  },
  closed,
);

export const defaultInput: Static<typeof inputSchema> = {
  threads: Math.max(1, Math.min(4, os.availableParallelism() - 1)),
  waiting_max: 256,
  images: {
    enabled: false,
    // 1,280 patches of 28 × 28, which vision models of the field read as so many tokens.
    pixels_max: 1_003_520,
    models: {},
    format: 'jpeg',
    quality: 80,
    decoded_pixels_max: 50_000_000,
    bytes_max: 20 * 1024 * 1024,
    images_max: 32,
    cache_bytes: 64 * 1024 * 1024,
    fetch: { hosts: [], private_addresses: false, timeout_ms: 10_000 },
  },
};
