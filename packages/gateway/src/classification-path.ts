/**
 * The path of `POST /v1/classify`. As that of embeddings, it has none of the request path's stages.
 *
 *   ingress reads and checks the HTTP request, lets it in → 400, 401, 404, 405, 408, 413, 415, 429 limits, 503 draining
 *     ↓
 *   output     writes the classes as JSON; alone encodes errors                           → every error below, in OpenAI's shape
 *     ↓
 *   this file finds the model: another server's classifier, or labels by embeddings → 400 labels, 404, 422 truncate, 503 all are ejected,
 *   504 not cached
 *     ↓
 *   engine another server, texts of all requests together → 400, 429 queue full, 429, 502, 504, as that server has it
 *              or the path of embeddings → what that has, 502 vectors that cannot be compared
 */
import { AutoglmError, type ClassificationAnswer } from '@open-autoglm/protocol';
import type { ClassificationCall, ClassificationPath } from './common/classification-call.ts';
import type { ClassificationCatalog, ClassificationTarget } from './common/classification-catalog.ts';
import type { EmbeddingPath } from './common/embedding-call.ts';
import type { EmbeddingCatalog, EmbeddingModel } from './common/embedding-catalog.ts';
import { notCached } from './common/not-cached.ts';
import { TargetsInTurn, type TurnSettings } from './router/targets-in-turn.ts';
import { classifyByLabels } from './zero-shot.ts';

export function createClassificationPath(
  catalog: ClassificationCatalog,
  embeddings: EmbeddingCatalog,
  embeddingPath: EmbeddingPath,
  routing: TurnSettings,
): ClassificationPath {
  const replicas = new TargetsInTurn<ClassificationTarget>(routing);
  return async (call) => {
    const model = catalog.find(call.model);
    if (model) {
      if (call.truncate)
        throw new AutoglmError(
          'unsupported_feature',
          `'autoglm.truncate' is not available for the model ${JSON.stringify(model.name)}: use the field that its server has for it.`,
          { param: 'autoglm.truncate' },
        );
      if (call.cache?.onlyIfCached) throw notCached('classes of another server are not kept');
      return replicas.ask(model, call, (target) => ask(target, call));
    }
    const { name, isRemote } = findEmbeddings(embeddings, call.model, catalog);
    const { labels } = call;
    if (labels === undefined) {
      const reason = isRemote
        ? 'has no classifier (classify_path of its engine); with labels its embeddings are asked'
        : 'makes embeddings, and classifies by labels that come with the request';
      throw new AutoglmError(
        'missing_parameter',
        `Missing required parameter: 'labels'. The model ${JSON.stringify(name)} ${reason}.${remedy(catalog)}`,
        { param: 'labels' },
      );
    }
    return classifyByLabels({ ...call, labels }, embeddingPath);
  };
}

/** Throws `model_not_found`, with all that could classify. */
function findEmbeddings(embeddings: EmbeddingCatalog, model: string, classifiers: ClassificationCatalog): EmbeddingModel {
  try {
    return embeddings.find(model);
  } catch (error) {
    throw error instanceof AutoglmError
      ? new AutoglmError(error.code, error.message + remedy(classifiers), { param: error.param, cause: error })
      : error;
  }
}

function remedy({ names }: ClassificationCatalog): string {
  return names.length > 0 ? ` Classifiers: ${names.join(', ')}.` : '';
}

async function ask(
  { engine, target: { tier } }: ClassificationTarget,
  { request, signal, emit }: ClassificationCall,
): Promise<ClassificationAnswer> {
  emit({ type: 'engine-chosen', engine: engine.name, tier, reason: 'turn' });
  const askedAt = performance.now();
  try {
    const answer = await engine.classify(request, signal);
    emit({ type: 'prompt-end', choice: 0, promptTokens: answer.promptTokens, cachedTokens: 0 });
    return answer;
  } finally {
    emit({ type: 'segment-end', segment: 'upstream', durationMs: performance.now() - askedAt });
  }
}
