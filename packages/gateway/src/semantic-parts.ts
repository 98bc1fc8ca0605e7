import { randomUUID } from 'node:crypto';
import type { EmbeddingPath } from './common/embedding-call.ts';
import type { EmbeddingCatalog } from './common/embedding-catalog.ts';
import type { Config } from './config/schema.ts';
import type { ResponseCache } from './response-cache/response-cache.ts';
import { SemanticAnswers } from './response-cache/semantic/semantic-answers.ts';

/** Who finds answers of similar questions in this cache, as the configuration wants it; undefined: it wants nobody. */
export function openSemantic(
  config: Config['cache']['semantic'],
  responses: ResponseCache,
  embeddings: EmbeddingCatalog,
  path: EmbeddingPath,
): SemanticAnswers | undefined {
  const { mode, model = embeddings.local?.name } = config;
  if (mode === 'off' || model === undefined) return undefined;
  // Another server cuts a text as it likes, or refuses it.
  const truncate = !embeddings.isRemote(model);
  return new SemanticAnswers({
    mode,
    similarityMin: config.similarity_min,
    errorMax: config.error_max,
    checkShare: config.check_share,
    answerSimilarityMin: config.answer_similarity_min,
    entriesMax: config.max_entries,
    bytesMax: config.max_bytes,
    charactersMax: config.max_characters,
    timeoutMs: config.timeout_ms,
    embed: async (inputs, signal) =>
      (await path({ model, request: { id: `embd-${randomUUID()}`, inputs, ...(truncate && { truncate }) }, signal, emit: () => {} }))
        .vectors,
    answerOf: async (key, tenant) => (await responses.find(key, tenant))?.slot.entry.parts,
    random: Math.random,
  });
}
