import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
/** Part of the names of buckets in Redis, and written to logs. */
export const keyName = Type.String({ minLength: 1, maxLength: 128, pattern: '^[\\w.:@-]+$' });

/** Who may ask; without keys everybody may. Each key is in one of three places, and its text never in this file. */
export const authSchema = Type.Object(
  {
    keys: Type.Array(
      Type.Object(
        {
          name: keyName,
          /** The environment variable that holds it. */
          key_env: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
          /** A file that holds it and nothing else, as secrets are mounted. */
          key_file: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
          /** Its SHA-256 in hexadecimal. */
          key_sha256: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{64}$' })),
          /** The models that it opens; all when not given. */
          models: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 1024 })),
        },
        closed,
      ),
      { maxItems: 10_000 },
    ),
  },
  closed,
);

export const defaultAuth: Static<typeof authSchema> = { keys: [] };
