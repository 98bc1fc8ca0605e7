import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { CacheMode, EmbeddingAnswer, EmbeddingRequest, EmitEvent } from '@open-autoglm/protocol';
import type { AskCall, AskedEmbeddings, EmbeddingAsker } from '../common/asker.ts';
import type { EmbeddingCatalog } from '../common/embedding-catalog.ts';
import type { Exchange } from '../common/exchange.ts';
import type { Access, Demand } from './access.ts';
import type { JsonBody } from './body.ts';
import { abortAfter, startOf, take, tellEnd, type Followed, type GenerationParts } from './generations.ts';
import type { Hand, InHand } from './in-hand.ts';
import { estimateTexts } from './limits/estimate.ts';
import type { Admission } from './limits/limits.ts';
import { parseEmbeddings, type ParsedEmbeddings } from './to-embedding-request.ts';
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
  readonly tenant: string;
  readonly cache: CacheMode | undefined;
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

/** What makes embeddings: reads requests, sends them down their path, and has them answered. */
export class EmbeddingRequests implements EmbeddingAsker {
  readonly #parts: EmbeddingParts;
  readonly #inHand: InHand;

  constructor(parts: EmbeddingParts, inHand: InHand) {
    this.#parts = parts;
    this.#inHand = inHand;
  }

  /** Rejects with what is wrong with the request; whatever happens after it was read is told to the client. */
  async serve({ message, response, requestId, read }: EmbeddingHttpCall): Promise<void> {
    const parts = this.#parts;
    const start = startOf(message.headers, requestId, 'embeddings');
    const followed = parts.follow(start);
    const { emit, timings } = followed;
    const { hand, asked, admission } = await take({ response, start, followed, inHand: this.#inHand }, async (taken) => {
      const identity = parts.access.identify(message.headers);
      const { value, hasEscapes } = await read(taken.abort.signal);
      const parsed = this.#parse(value, message.headers);
      if (hasEscapes) checkWellFormed(value);
      return { hand: taken, asked: parsed, admission: await parts.access.admit(identity, demandOf(parsed), emit, response) };
    });
    const { call, deadline } = begin(asked, followed, hand);
    const { model, signal } = call;
    try {
      await parts.respondEmbeddings({ model, encodingFormat: asked.encodingFormat, requestId, response, timings, headers: admission?.headers, signal, emit }, parts.embeddingPath(call));
    } finally {
      clearTimeout(deadline);
      admission?.settle(timings.tokensUsed);
    }
  }

  async embed<T>({ body, headers, caller, signal }: Omit<AskCall, 'api'>, use: (asked: AskedEmbeddings) => Promise<T>): Promise<T> {
    const { access, follow, embeddingPath } = this.#parts;
    const requestId = randomUUID();
    const followed = follow(startOf(headers, requestId, 'embeddings'));
    const { emit, timings } = followed;
    const onAbort = () => hand?.abort.abort(signal.reason);
    let hand: Hand | undefined;
    let deadline: NodeJS.Timeout | undefined;
    let admission: Admission | undefined;
    try {
      signal.throwIfAborted();
      const identity = access.identify(headers, caller);
      hand = this.#inHand.take();
      signal.addEventListener('abort', onAbort, { once: true });
      const parsed = this.#parse(body, headers);
      const owned = caller ? { ...parsed, tenant: caller.tenant } : parsed;
      admission = await access.admit(identity, demandOf(owned), emit);
      signal.throwIfAborted();
      const begun = begin(owned, followed, hand);
      deadline = begun.deadline;
      const result = await use({ requestId, timings, model: parsed.model, encodingFormat: parsed.encodingFormat, answer: embeddingPath(begun.call) });
      emit({ type: 'request-end', outcome: 'answered', status: 200 });
      return result;
    } catch (thrown) {
      tellEnd(emit, thrown);
      throw thrown;
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      hand?.release();
      admission?.settle(timings.tokensUsed);
    }
  }

  #parse(value: unknown, headers: IncomingHttpHeaders): ParsedEmbeddings {
    return parseEmbeddings(value, headers, this.#parts.embeddings.isRemote((value as { model?: unknown } | null)?.model));
  }
}

function begin({ model, tenant, cache, inputs, dimensions, truncate, fields, deadlineMs }: ParsedEmbeddings, { emit, traceContext }: Followed, hand: Hand): { readonly call: EmbeddingCall; readonly deadline: NodeJS.Timeout | undefined } {
  emit({ type: 'request-parsed', model, stream: false, maxTokens: undefined, choiceCount: 1 });
  const request = { id: `embd-${randomUUID()}`, inputs, dimensions, truncate, fields, traceContext };
  return { call: { model, tenant, cache, request, signal: hand.abort.signal, emit }, deadline: abortAfter(hand, deadlineMs) };
}

function demandOf({ model, tenant, inputs }: ParsedEmbeddings): Demand {
  return { model, tenant, promptTokens: () => estimateTexts(inputs), answerTokensMax: undefined, answerCount: 0, isBatch: false };
}
