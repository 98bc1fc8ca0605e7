import { AutoglmError, type EmbeddingAnswer, type EmbeddingEngine, type EmbeddingRequest } from '@open-autoglm/protocol';
import { inPlaces, promptTokensOf, upstreamTexts, wrongAnswer, type UpstreamTextsOptions } from './upstream-texts.ts';

/** Another server's `/v1/embeddings`. */
export function upstreamEmbeddings(options: UpstreamTextsOptions): EmbeddingEngine {
  const { name, status } = options;
  const ask = upstreamTexts<EmbeddingRequest, EmbeddingAnswer>(
    options,
    ({ inputs, dimensions }) => ({ input: inputs, dimensions }),
    (body, count) => ({
      vectors: inPlaces(name, 'embeddings', body['data'], count, ({ embedding }: { readonly embedding?: unknown }) =>
        toVector(name, embedding),
      ),
      promptTokens: promptTokensOf(body),
    }),
  );
  return {
    name,
    get status() {
      return status();
    },
    async ready(signal) {
      signal?.throwIfAborted();
      return undefined;
    },
    async embed(request, signal) {
      if (request.truncate)
        throw new AutoglmError(
          'unsupported_feature',
          `'autoglm.truncate' is not available for the engine ${name}: use the field that its server has for it.`,
          { param: 'autoglm.truncate' },
        );
      return ask(request, signal);
    },
    // The connections are the replica's.
    close: async () => {},
  };
}

/** Numbers, or base64 of little-endian float32. */
function toVector(name: string, embedding: unknown): Float32Array {
  if (Array.isArray(embedding) && embedding.length > 0 && embedding.every((value) => typeof value === 'number'))
    return Float32Array.from(embedding);
  if (typeof embedding !== 'string') throw wrongAnswer(name, 'sent an embedding that is none');
  // Copied, because the bytes of a Buffer need not be aligned.
  const bytes = Uint8Array.from(Buffer.from(embedding, 'base64'));
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw wrongAnswer(name, 'sent an embedding that is none');
  return new Float32Array(bytes.buffer);
}
