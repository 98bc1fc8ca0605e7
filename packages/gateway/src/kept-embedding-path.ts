import { AutoglmError } from '@open-autoglm/protocol';
import type { EmbeddingPath } from './common/embedding-call.ts';
import type { EmbeddingCatalog } from './common/embedding-catalog.ts';
import type { KeptEmbeddings } from './response-cache/intermediate/kept-embeddings.ts';

/**
 * The path, in front of which embeddings of our own model are looked for; those of other servers are not, since nobody tells when their
 * weights change.
 */
export function createKeptEmbeddingPath(path: EmbeddingPath, catalog: EmbeddingCatalog, kept: KeptEmbeddings): EmbeddingPath {
  return async (call) => {
    const { tenant, cache: { mode, maxAgeSeconds } = { mode: 'auto' }, request, emit } = call;
    const weightsFingerprint = call.model === catalog.local?.name ? catalog.info?.weightsFingerprint : undefined;
    if (tenant === undefined || weightsFingerprint === undefined || mode === 'off') return path(call);
    const startedAtMs = performance.now();
    let computed = 0;
    const found = await kept
      .find(
        { tenant, weightsFingerprint },
        request,
        async (inputs) => {
          emit({ type: 'segment-end', segment: 'cache', durationMs: performance.now() - startedAtMs, reason: 'lookup' });
          computed = inputs.length;
          // What is told of the prompt is told of all of it, below.
          return path({
            ...call,
            request: { ...request, inputs },
            emit: (event) => (event.type === 'prompt-end' ? undefined : emit(event)),
          });
        },
        mode === 'refresh' || maxAgeSeconds !== undefined,
      )
      .catch((error: unknown) => {
        // The engine counts the inputs that it got: the client shall read of its own.
        if (computed < request.inputs.length && error instanceof AutoglmError && error.status < 500 && error.param?.startsWith('input'))
          return undefined;
        throw error;
      });
    if (!found) return path(call);
    if (computed === 0) emit({ type: 'segment-end', segment: 'cache', durationMs: performance.now() - startedAtMs, reason: 'memory' });
    emit({ type: 'prompt-end', choice: 0, promptTokens: found.answer.promptTokens, cachedTokens: found.keptTokens });
    return found.answer;
  };
}
