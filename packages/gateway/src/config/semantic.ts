import Type, { type Static } from 'typebox';

/** Answers of questions that want the same in other words. */
export const semanticSchema = Type.Object(
  {
    /** `shadow` finds, compares and counts, and serves nothing; `on` serves what checks have shown to be right often enough. */
    mode: Type.Union([Type.Literal('off'), Type.Literal('shadow'), Type.Literal('on')]),
    /** Of those that make embeddings here or on other servers; the one of `embeddings` when not given. */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    /** The share of wrong answers that is tolerated among those that are served. */
    error_max: Type.Number({ minimum: 0.0001, maximum: 0.5 }),
    /** At least this share of what would be served is computed all the same, and compared. */
    check_share: Type.Number({ minimum: 0, maximum: 1 }),
    /** Questions whose embeddings are less near (cosine) are not looked at. */
    similarity_min: Type.Number({ minimum: 0.5, maximum: 1 }),
    /** So near must the embeddings of two answers be that a check takes to say the same in other words; 1: only the same words count. */
    answer_similarity_min: Type.Number({ minimum: 0.5, maximum: 1 }),
    /** Questions that can be found; of more, those that were found longest ago go. */
    max_entries: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    max_bytes: Type.Integer({ minimum: 65_536, maximum: Number.MAX_SAFE_INTEGER }),
    /** Longer questions are compared with none. */
    max_characters: Type.Integer({ minimum: 16, maximum: 20_000 }),
    /** An embedding that takes longer is not waited for: the question is computed. */
    timeout_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
  },
  { additionalProperties: false },
);

export const defaultSemantic: Static<typeof semanticSchema> = {
  mode: 'off',
  error_max: 0.005,
  check_share: 0.05,
  similarity_min: 0.85,
  answer_similarity_min: 0.95,
  max_entries: 50_000,
  max_bytes: 64 * 1024 * 1024,
  max_characters: 1000,
  timeout_ms: 100,
};

/** What it cannot work without. */
export function problemOfSemantic(
  { enabled, semantic: { mode, model } }: { readonly enabled: boolean; readonly semantic: Static<typeof semanticSchema> },
  embeddings: string | undefined,
): { readonly key: string; readonly reason: string } | undefined {
  if (mode === 'off') return undefined;
  if (!enabled) return { key: 'mode', reason: `is ${mode}, and the cache is off: set cache.enabled to true` };
  if (model === undefined && embeddings === undefined)
    return { key: 'model', reason: 'is missing: name a model for embeddings here or in embeddings.model, such as bge-small-zh or minilm' };
  return undefined;
}
