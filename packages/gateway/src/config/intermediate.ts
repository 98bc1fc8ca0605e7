import Type, { type Static } from 'typebox';

/**
 * Embeddings of the model under `embeddings`, by tenant, weights and text: what was encoded once is not encoded again. In Redis, too, where
 * the cache has one.
 */
export const intermediateSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** Of all vectors in memory. */
    max_bytes: Type.Integer({ minimum: 65_536, maximum: Number.MAX_SAFE_INTEGER }),
    /** In Redis. */
    ttl_seconds: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
  },
  { additionalProperties: false },
);

export const defaultIntermediate: Static<typeof intermediateSchema> = { enabled: true, max_bytes: 16 * 1024 * 1024, ttl_seconds: 86_400 };
