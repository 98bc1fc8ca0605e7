import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;

/** Answers computed before they are asked for, while nothing else runs. They are kept as any others are. */
export const prefetchSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** Prompts and answers together; what was overspent is waited for. */
    tokens_per_minute: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
    /** Nothing must have run for so long. */
    idle_ms: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
    /** What a client asks after something else, seen so often and in so large a share of the times; older times count less. */
    follow_ups: Type.Object(
      {
        enabled: Type.Boolean(),
        count_min: Type.Number({ minimum: 1, maximum: 1000 }),
        share_min: Type.Number({ minimum: 0.01, maximum: 1 }),
        /** Requests whose followers are remembered, and the bytes of these. */
        max_entries: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
        max_bytes: Type.Integer({ minimum: 65_536, maximum: Number.MAX_SAFE_INTEGER }),
      },
      closed,
    ),
    /** Asked at the start, and again and again. Only what the cache keeps is of use: answers that are not sampled. */
    requests: Type.Array(
      Type.Object(
        {
          path: Type.Union([Type.Literal('/v1/chat/completions'), Type.Literal('/v1/completions')]),
          body: Type.Record(Type.String(), Type.Unknown()),
          /** For whom: as the header x-autoglm-tenant. */
          tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
          /** The environment variable that holds the key of those who will ask. */
          api_key_env: Type.Optional(Type.String({ minLength: 1 })),
        },
        closed,
      ),
      { maxItems: 64 },
    ),
    every_seconds: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
  },
  closed,
);

export const defaultPrefetch: Static<typeof prefetchSchema> = {
  enabled: false,
  tokens_per_minute: 6000,
  idle_ms: 200,
  follow_ups: { enabled: true, count_min: 3, share_min: 0.3, max_entries: 4096, max_bytes: 16 * 1024 * 1024 },
  requests: [],
  every_seconds: 240,
};
