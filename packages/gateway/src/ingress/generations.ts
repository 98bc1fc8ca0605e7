import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import type { Asked, Asker, AskCall, Relay } from '../common/asker.ts';
import type { Exchange } from '../common/exchange.ts';
import type { Followed } from '../common/followed.ts';
import { newId } from '../common/new-id.ts';
import { showsImages } from '../common/image-parts.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { Access, Demand } from './access.ts';
import type { Hand, InHand } from './in-hand.ts';
import { estimateDocuments, estimatePrompt } from './limits/estimate.ts';
import { abortAfter, runAsked, startOf, take, type AskedCall, type IncomingBody } from './take.ts';
import { parseRelayedChat, parseRemoteChat, parseRemoteCompletion } from './to-remote-request.ts';
import { parseChat, parseCompletion, type ParsedRequest } from './to-request.ts';

export interface GenerationParts {
  readonly catalog: ModelCatalog;
  readonly access: Access;
  /** Tokens of the prompt that documents may take where a request does not say. */
  readonly documentTokensMax: number;
  readonly path: (request: GatewayRequest) => AsyncIterable<StreamPart>;
  readonly follow: (start: RequestStart) => Followed;
  readonly respond: (exchange: Exchange, parts: AsyncIterable<StreamPart>) => Promise<void>;
}

type Api = AskCall['api'];
type Parse = (body: unknown, headers: IncomingHttpHeaders) => ParsedRequest;

interface Operation {
  readonly name: RequestStart['operation'];
  readonly parse: Parse;
  /** For a model that other servers answer for: what is asked of them is theirs to judge. */
  readonly parseRemote: Parse;
}

const operations: Readonly<Record<Api, Operation>> = {
  chat: { name: 'chat', parse: parseChat, parseRemote: parseRemoteChat },
  completion: { name: 'text_completion', parse: parseCompletion, parseRemote: parseRemoteCompletion },
};

/** An HTTP request that generates. `read` gives its body, in OpenAI's words. */
export interface GenerationCall {
  readonly api: Api;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly read: (signal: AbortSignal) => Promise<IncomingBody>;
  /** Sees the answer's parts before the client does, and may hold one back for a while. */
  readonly through?: (parts: AsyncIterable<StreamPart>, request: GatewayRequest) => AsyncIterable<StreamPart>;
}

/** What generates: reads requests, sends them down the path, and has them answered. */
export class Generations implements Asker, Relay {
  readonly #parts: GenerationParts;
  readonly #inHand: InHand;

  constructor(parts: GenerationParts, inHand: InHand) {
    this.#parts = parts;
    this.#inHand = inHand;
  }

  /** Rejects with what is wrong with the request; whatever happens after it was read is told to the client. */
  async serve({ api, message, response, requestId, read, through = (parts) => parts }: GenerationCall): Promise<void> {
    const start = startOf(message.headers, requestId, operations[api].name);
    const followed = this.#parts.follow(start);
    const { access } = this.#parts;
    const { hand, parsed, admission } = await take(
      { message, response, read, start, followed, access, inHand: this.#inHand },
      (value) => this.#parse(api, value, message.headers),
      this.#demandOf,
    );
    const request = this.#begin(parsed, requestId, followed, hand, message.socket.remoteAddress);
    const deadline = abortAfter(hand, parsed.deadlineMs);
    try {
      const exchange = {
        request,
        requestId,
        format: parsed.format,
        response,
        timings: followed.timings,
        headers: admission?.headers,
        created: secondsNow(),
      };
      // A stage may refuse before it is read: so it is told to the client, and counted, as what is refused later.
      const parts = { [Symbol.asyncIterator]: () => this.#parts.path(request)[Symbol.asyncIterator]() };
      await this.#parts.respond(exchange, through(parts, request));
    } finally {
      clearTimeout(deadline);
      admission?.settle(followed.timings.tokensUsed);
    }
  }

  run<T>(call: AskCall, use: (asked: Asked) => Promise<T>): Promise<T> {
    const parse: Parse = (body, headers) => this.#parse(call.api, body, headers);
    return this.#ask(call, parse, (request, { requestId, parsed, followed: { timings } }) =>
      use({ request, requestId, format: parsed.format, timings, created: secondsNow(), parts: this.#parts.path(request) }),
    );
  }

  relay<T>(call: Omit<AskCall, 'api'>, use: (request: GatewayRequest) => Promise<T>): Promise<T> {
    return this.#ask({ ...call, api: 'chat' }, parseRelayedChat, use);
  }

  #ask<T>(call: AskCall, parse: Parse, use: (request: GatewayRequest, asked: AskedCall<ParsedRequest>) => Promise<T>): Promise<T> {
    const { access, follow } = this.#parts;
    return runAsked(
      { ...call, operation: operations[call.api].name, access, follow, inHand: this.#inHand, parse, demandOf: this.#demandOf },
      (asked) => {
        const { requestId, parsed, followed, hand } = asked;
        return use(this.#begin(parsed, requestId, followed, hand, undefined), asked);
      },
    );
  }

  /** Throws what a request with this body would be refused with before it is sent anywhere. */
  check(api: Api, body: unknown, headers: IncomingHttpHeaders): void {
    this.#parse(api, body, headers);
  }

  /** For requests of a tenant that generate nothing. Throws `rate_limit_exceeded`. */
  admitCall(message: IncomingMessage, tenant: string, response: ServerResponse): Promise<void> {
    return this.#parts.access.admitCall(message.headers, tenant, response);
  }

  /**
   * For requests that generate nothing and have a body to read: in the same bound, and aborted as all are. Throws `queue_full` or
   * `draining`.
   */
  take(response: ServerResponse): Hand {
    return this.#inHand.takeFor(response);
  }

  #parse(api: Api, value: unknown, headers: IncomingHttpHeaders): ParsedRequest {
    const { parse, parseRemote } = operations[api];
    const isRemote = this.#parts.catalog.isRemote((value as { model?: unknown } | null)?.model, () => showsImages(value));
    return (isRemote ? parseRemote : parse)(value, headers);
  }

  readonly #demandOf = ({ model, tenant, lane, input, maxTokens, choiceCount, documents }: ParsedRequest): Demand => {
    const prompts = input.kind === 'chat' ? 1 : input.prompts.length;
    const promptTokens = () => estimatePrompt(input) + (documents ? estimateDocuments(documents, this.#parts.documentTokensMax) : 0);
    return {
      model,
      documentsModel: documents?.model,
      tenant,
      promptTokens,
      answerTokensMax: maxTokens,
      answerCount: choiceCount * prompts,
      isBatch: lane === 'batch',
    };
  };

  #begin(
    parsed: ParsedRequest,
    requestId: string,
    { emit, traceContext }: Followed,
    hand: Hand,
    address: string | undefined,
  ): GatewayRequest {
    emit({
      type: 'request-parsed',
      model: parsed.model,
      stream: parsed.format.stream,
      maxTokens: parsed.maxTokens,
      choiceCount: parsed.choiceCount,
    });
    return toGatewayRequest(parsed, address, { requestId, traceContext, signal: hand.abort.signal, emit });
  }
}

/** Field by field: what is left of an object without some of its fields costs V8 several times as much. */
function toGatewayRequest(
  parsed: ParsedRequest,
  address: string | undefined,
  own: Required<Pick<GatewayRequest, 'requestId' | 'signal' | 'emit'>> & Pick<GatewayRequest, 'traceContext'>,
): GatewayRequest {
  return {
    id: `${parsed.format.api === 'chat' ? 'chatcmpl' : 'cmpl'}-${newId()}`,
    requestId: own.requestId,
    model: parsed.model,
    input: parsed.input,
    prompts: undefined,
    tenant: parsed.tenant,
    contextStrategy: parsed.contextStrategy,
    attention: parsed.attention,
    fit: parsed.fit,
    compression: parsed.compression,
    documents: parsed.documents,
    lane: parsed.lane,
    deadlineAtMs: parsed.deadlineMs === undefined ? undefined : performance.now() + parsed.deadlineMs,
    cache: parsed.cache,
    stream: parsed.format.stream,
    choiceCount: parsed.choiceCount,
    sampling: parsed.sampling,
    maxTokens: parsed.maxTokens,
    stop: parsed.stop,
    topLogprobs: parsed.topLogprobs,
    responseFormat: parsed.responseFormat,
    tools: parsed.tools,
    toolChoice: parsed.toolChoice,
    parallelToolCalls: parsed.parallelToolCalls,
    body: parsed.body,
    client: { address, session: parsed.session },
    traceContext: own.traceContext,
    signal: own.signal,
    emit: own.emit,
  };
}

const secondsNow = () => Math.floor(Date.now() / 1000);
