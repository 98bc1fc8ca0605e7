/**
 * The path of `POST /v1/embeddings`. No text is generated, so none of the request path's stages has a part in it.
 *
 *   ingress reads and checks the HTTP request, lets it in → 400, 401, 404, 405, 408, 413, 415, 429 limits, 503 draining
 *     ↓
 *   output     writes the vectors as JSON; alone encodes errors                           → every error below, in OpenAI's shape
 *     ↓
 *   kept       gives what is known of our own model, where that is kept: `kept-embedding-path.ts`
 *     ↓
 *   this file finds the model and who answers, waits for it, asks the next one where one fails → 404, 503 not ready, 503 all are ejected,
 *   504 not cached
 *     ↓
 *   engine     texts of all requests encoded together                                     → 400 too long, 429 queue full, 502 crashed
 *              or another server → 400, 422 truncate, 429, 502, 504, as that server has it
 */
import { AutoglmError, type EmbeddingAnswer, type EmbeddingEngine } from '@open-autoglm/protocol';
import type { EmbeddingCall, EmbeddingPath } from './common/embedding-call.ts';
import type { EmbeddingCatalog, EmbeddingTarget, RemoteEmbeddingTarget } from './common/embedding-catalog.ts';
import { notCached } from './common/not-cached.ts';
import { TargetsInTurn, type TurnSettings } from './router/targets-in-turn.ts';

export function createEmbeddingPath(catalog: EmbeddingCatalog, readyTimeoutMs: number, routing: TurnSettings): EmbeddingPath {
  const replicas = new TargetsInTurn<RemoteEmbeddingTarget>(routing);
  return async (call) => {
    const model = catalog.find(call.model);
    if (call.cache?.onlyIfCached) throw notCached('not all of its embeddings are at hand');
    if (!model.isRemote) return ask(model.target, call, false, readyTimeoutMs);
    return replicas.ask(model, call, (target) => ask(target, call, true, readyTimeoutMs));
  };
}

async function ask(
  { engine, tier }: EmbeddingTarget,
  { request, signal, emit }: EmbeddingCall,
  isRemote: boolean,
  readyTimeoutMs: number,
): Promise<EmbeddingAnswer> {
  emit({ type: 'engine-chosen', engine: engine.name, tier, reason: isRemote ? 'turn' : 'only' });
  const waitsFrom = performance.now();
  if (engine.status.state !== 'ready' && !isRemote) {
    await readyWithin(engine, readyTimeoutMs, signal).finally(() =>
      emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - waitsFrom, reason: 'model' }),
    );
  }
  const askedAt = performance.now();
  const endSegments = (answer?: EmbeddingAnswer) => {
    const passedMs = performance.now() - askedAt;
    if (isRemote) return emit({ type: 'segment-end', segment: 'upstream', durationMs: passedMs });
    if (!answer?.times) return emit({ type: 'segment-end', segment: 'queue', durationMs: passedMs, reason: 'cut', choice: 0 });
    emit({ type: 'segment-end', segment: 'queue', durationMs: answer.times.queueMs, choice: 0 });
    emit({ type: 'segment-end', segment: 'prefill', durationMs: answer.times.computeMs, choice: 0 });
  };
  try {
    const answer = await engine.embed(request, signal);
    endSegments(answer);
    emit({ type: 'prompt-end', choice: 0, promptTokens: answer.promptTokens, cachedTokens: 0 });
    return answer;
  } catch (error) {
    endSegments();
    throw error;
  }
}

/** Rejects with `engine_unavailable` after the bound, with what keeps it from ever being ready, or with the signal's reason. */
async function readyWithin(engine: EmbeddingEngine, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(
      new AutoglmError('engine_unavailable', `The embedding model is not ready yet: ${engine.status.detail}`, { retryAfterSeconds: 5 }),
    );
  }, timeoutMs);
  try {
    await engine.ready(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
