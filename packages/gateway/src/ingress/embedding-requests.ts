import type { EmbeddingAnswer } from '@open-autoglm/protocol';
import type { AskCall, AskedEmbeddings, EmbeddingAsker } from '../common/asker.ts';
import type { EmbeddingPath } from '../common/embedding-call.ts';
import type { EmbeddingCatalog } from '../common/embedding-catalog.ts';
import { newId } from '../common/new-id.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import type { InHand } from './in-hand.ts';
import { TextsRequests, type TextsParts } from './serve-texts.ts';
import { parseEmbeddings, type ParsedEmbeddings } from './to-embedding-request.ts';

export interface EmbeddingParts extends TextsParts {
  readonly embeddings: EmbeddingCatalog;
  readonly embeddingPath: EmbeddingPath;
  readonly respondEmbeddings: (exchange: TextsExchange<ParsedEmbeddings>, answer: Promise<EmbeddingAnswer>) => Promise<void>;
}

/** `POST /v1/embeddings`. */
export class EmbeddingRequests extends TextsRequests<ParsedEmbeddings, EmbeddingAnswer> implements EmbeddingAsker {
  constructor(parts: EmbeddingParts, inHand: InHand) {
    super(parts, inHand, {
      name: 'embeddings',
      parse: (body, headers) => parseEmbeddings(body, headers, parts.embeddings.isRemote((body as { model?: unknown } | null)?.model)),
      textsOf: ({ inputs }) => inputs,
      ask({ parsed: { model, tenant, cache, inputs, dimensions, truncate, lane, fields }, requestId, signal, emit, traceContext }) {
        return parts.embeddingPath({
          model,
          tenant,
          cache,
          request: { id: `embd-${newId()}`, requestId, inputs, dimensions, truncate, lane, fields, traceContext },
          signal,
          emit,
        });
      },
      respond: parts.respondEmbeddings,
    });
  }

  embed<T>(call: Omit<AskCall, 'api'>, use: (asked: AskedEmbeddings) => Promise<T>): Promise<T> {
    return this.run(call, ({ parsed: { model, encodingFormat }, ...asked }) => use({ ...asked, model, encodingFormat }));
  }
}
