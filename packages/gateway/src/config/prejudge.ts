import Type, { type Static } from 'typebox';

/** What is answered, refused or labelled by rules before a token is spent. */
export const prejudgeSchema = Type.Object(
  {
    /**
     * A YAML file of rules, read again whenever it changes; `sample`: those that come with the package. Without it there is no such stage.
     */
    rules: Type.Optional(Type.String({ minLength: 1 })),
    /** Characters of a request that are looked through, the newest first; of a longer one the rest is not. */
    scan_characters_max: Type.Integer({ minimum: 1024, maximum: 16_777_216 }),
  },
  { additionalProperties: false },
);

export const defaultPrejudge: Static<typeof prejudgeSchema> = { scan_characters_max: 131_072 };
