import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EmbeddingAnswer, EmbeddingRequest, EmitEvent } from '@open-autoglm/protocol';
import type { EmbeddingCatalog } from '../common/embedding-catalog.ts';
import type { Exchange } from '../common/exchange.ts';
import type { Access } from './access.ts';
import type { JsonBody } from './body.ts';
import { abortAfter, startOf, take, type GenerationParts } from './generations.ts';
import type { InHand } from './in-hand.ts';
import { estimateTexts } from './limits/estimate.ts';
import { parseEmbeddings } from './to-embedding-request.ts';
import { checkWellFormed } from './validate.ts';

export interface EmbeddingParts {
  readonly embeddings: EmbeddingCatalog;
  readonly access: Access;
  readonly embeddingPath: (call: EmbeddingCall) => Promise<EmbeddingAnswer>;
  readonly follow: GenerationParts['follow'];
  readonly respondEmbeddings: (exchange: EmbeddingExchange, answer: Promise<EmbeddingAnswer>) => Promise<void>;
}

/** A request for embeddings, as its path takes it. */
interface EmbeddingCall {
  readonly model: string;
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

/** What its answer needs to know. */
interface EmbeddingExchange extends Pick<EmbeddingCall, 'model' | 'signal' | 'emit'>, Pick<Exchange, 'requestId' | 'response' | 'timings' | 'headers'> {
  readonly encodingFormat: 'float' | 'base64';
}

/** An HTTP request for embeddings. */
interface EmbeddingHttpCall {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly read: (signal: AbortSignal) => Promise<JsonBody>;
}

/** Reads it, sends it down its path, and has it answered. Rejects with what is wrong with the request. */
export async function serveEmbeddings(parts: EmbeddingParts, inHand: InHand, { message, response, requestId, read }: EmbeddingHttpCall): Promise<void> {
  const start = startOf(message.headers, requestId, 'embeddings');
  const followed = parts.follow(start);
  const { emit, timings, traceContext } = followed;
  const { hand, asked, admission } = await take({ response, start, followed, inHand }, async (taken) => {
    const identity = parts.access.identify(message.headers);
    const { value, hasEscapes } = await read(taken.abort.signal);
    const parsed = parseEmbeddings(value, message.headers, parts.embeddings.isRemote((value as { model?: unknown } | null)?.model));
    if (hasEscapes) checkWellFormed(value);
    const demand = { model: parsed.model, tenant: parsed.tenant, promptTokens: () => estimateTexts(parsed.inputs), answerTokensMax: undefined, answerCount: 0 };
    return { hand: taken, asked: parsed, admission: await parts.access.admit(identity, demand, emit, response) };
  });
  const { model, inputs, dimensions, truncate, fields, encodingFormat, deadlineMs } = asked;
  const { signal } = hand.abort;
  emit({ type: 'request-parsed', model, stream: false, maxTokens: undefined, choiceCount: 1 });
  const request = { id: `embd-${randomUUID()}`, inputs, dimensions, truncate, fields, traceContext };
  const deadline = abortAfter(hand, deadlineMs);
  try {
    await parts.respondEmbeddings({ model, encodingFormat, requestId, response, timings, headers: admission?.headers, signal, emit }, parts.embeddingPath({ model, request, signal, emit }));
  } finally {
    clearTimeout(deadline);
    admission?.settle(timings.tokensUsed);
  }
}
