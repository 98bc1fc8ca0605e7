import Type, { type Static } from 'typebox';

/** How documents that come with a request are read before it is answered (`autoglm.documents`). */
export const documentsSchema = Type.Object(
  {
    /** Tokens of the prompt that they may take where a request does not say. */
    tokens_max: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    /** Calls of one request at a time: to the model for embeddings, or to the one that summarizes. */
    concurrency: Type.Integer({ minimum: 1, maximum: 256 }),
    /** More pieces than this are refused. */
    pieces_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
  },
  { additionalProperties: false },
);

export const defaultDocuments: Static<typeof documentsSchema> = { tokens_max: 1024, concurrency: 8, pieces_max: 2048 };
