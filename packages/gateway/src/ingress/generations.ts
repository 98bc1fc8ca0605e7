import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { AutoglmError, toAutoglmError, type EmitEvent, type GatewayRequest, type StreamPart, type TraceContext } from '@open-autoglm/protocol';
import type { Asked, Asker, AskCall, Relay } from '../common/asker.ts';
import type { AnswerTimings, Exchange } from '../common/exchange.ts';
import { newId } from '../common/new-id.ts';
import { showsImages } from '../common/image-parts.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { Access, Demand } from './access.ts';
import type { JsonBody } from './body.ts';
import type { Hand, InHand } from './in-hand.ts';
import { estimatePrompt } from './limits/estimate.ts';
import { parseRelayedChat, parseRemoteChat, parseRemoteCompletion } from './to-remote-request.ts';
import { parseChat, parseCompletion, type ParsedRequest } from './to-request.ts';
import { checkWellFormed } from './validate.ts';

export interface Followed {
  readonly emit: EmitEvent;
  readonly timings: AnswerTimings;
  readonly traceContext: () => TraceContext | undefined;
}

export interface GenerationParts {
  readonly catalog: ModelCatalog;
  readonly access: Access;
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
  readonly read: (signal: AbortSignal) => Promise<JsonBody>;
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
    const { hand, parsed, admission } = await take({ response, start, followed, inHand: this.#inHand }, async (taken) => {
      const identity = access.identify(message.headers);
      const { value, hasEscapes } = await read(taken.abort.signal);
      const asked = this.#parse(api, value, message.headers);
      if (hasEscapes) checkWellFormed(value);
      return { hand: taken, parsed: asked, admission: await access.admit(identity, demandOf(asked), followed.emit, response) };
    });
    const { request, deadline } = this.#begin(parsed, requestId, followed, hand, message.socket.remoteAddress);
    try {
      const exchange = { request, requestId, format: parsed.format, response, timings: followed.timings, headers: admission?.headers, created: secondsNow() };
      await this.#parts.respond(exchange, through(this.#parts.path(request), request));
    } finally {
      clearTimeout(deadline);
      admission?.settle(followed.timings.tokensUsed);
    }
  }

  run<T>(call: AskCall, use: (asked: Asked) => Promise<T>): Promise<T> {
    const parse: Parse = (body, headers) => this.#parse(call.api, body, headers);
    return this.#admit(call, parse, (taken) => use({ ...taken, created: secondsNow(), parts: this.#parts.path(taken.request) }));
  }

  relay<T>(call: Omit<AskCall, 'api'>, use: (request: GatewayRequest) => Promise<T>): Promise<T> {
    return this.#admit({ ...call, api: 'chat' }, parseRelayedChat, ({ request }) => use(request));
  }

  /** A request that did not come over HTTP, from the door to its end. */
  async #admit<T>({ api, body, headers, caller, signal }: AskCall, parse: Parse, use: (taken: Omit<Asked, 'created' | 'parts'>) => Promise<T>): Promise<T> {
    const requestId = randomUUID();
    const followed = this.#parts.follow(startOf(headers, requestId, operations[api].name));
    const { emit, timings } = followed;
    const onAbort = () => hand?.abort.abort(signal.reason);
    let hand: Hand | undefined;
    let deadline: NodeJS.Timeout | undefined;
    let admission: Awaited<ReturnType<Access['admit']>>;
    try {
      signal.throwIfAborted();
      const identity = this.#parts.access.identify(headers, caller);
      hand = this.#inHand.take();
      signal.addEventListener('abort', onAbort, { once: true });
      const read = parse(body, headers);
      const parsed: ParsedRequest = caller ? { ...read, tenant: caller.tenant, lane: 'batch' } : read;
      admission = await this.#parts.access.admit(identity, demandOf(parsed), emit);
      signal.throwIfAborted();
      const begun = this.#begin(parsed, requestId, followed, hand, undefined);
      deadline = begun.deadline;
      const result = await use({ request: begun.request, requestId, format: parsed.format, timings });
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

  /** Throws what a request with this body would be refused with before it is sent anywhere. */
  check(api: Api, body: unknown, headers: IncomingHttpHeaders): void {
    this.#parse(api, body, headers);
  }

  /** For requests of a tenant that generate nothing. Throws `rate_limit_exceeded`. */
  admitCall(message: IncomingMessage, tenant: string, response: ServerResponse): Promise<void> {
    return this.#parts.access.admitCall(message.headers, tenant, response);
  }

  /** For requests that generate nothing and have a body to read: in the same bound, and aborted as all are. Throws `queue_full` or `draining`. */
  take(response: ServerResponse): Hand {
    return this.#inHand.takeFor(response);
  }

  #parse(api: Api, value: unknown, headers: IncomingHttpHeaders): ParsedRequest {
    const { parse, parseRemote } = operations[api];
    const isRemote = this.#parts.catalog.isRemote((value as { model?: unknown } | null)?.model, () => showsImages(value));
    return (isRemote ? parseRemote : parse)(value, headers);
  }

  #begin(parsed: ParsedRequest, requestId: string, { emit, traceContext }: Followed, hand: Hand, address: string | undefined): { request: GatewayRequest; deadline: NodeJS.Timeout | undefined } {
    emit({ type: 'request-parsed', model: parsed.model, stream: parsed.format.stream, maxTokens: parsed.maxTokens, choiceCount: parsed.choiceCount });
    const request = toGatewayRequest(parsed, address, { requestId, traceContext, signal: hand.abort.signal, emit });
    return { request, deadline: abortAfter(hand, parsed.deadlineMs) };
  }
}

function demandOf({ model, tenant, lane, input, maxTokens, choiceCount }: ParsedRequest): Demand {
  const prompts = input.kind === 'chat' ? 1 : input.prompts.length;
  return { model, tenant, promptTokens: () => estimatePrompt(input), answerTokensMax: maxTokens, answerCount: choiceCount * prompts, isBatch: lane === 'batch' };
}

/** An HTTP request that is followed, before it was read. */
interface Taking {
  readonly response: ServerResponse;
  readonly start: RequestStart;
  readonly followed: Followed;
  readonly inHand: InHand;
}

/** Takes a request in hand and reads it; one that cannot be read ends here, and the error says where its time went. */
export async function take<T>({ response, start, followed: { emit, timings }, inHand }: Taking, read: (hand: Hand) => Promise<T>): Promise<T> {
  try {
    const taken = await read(inHand.takeFor(response));
    emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - start.startedAtMs, reason: 'body' });
    return taken;
  } catch (thrown) {
    tellEnd(emit, thrown);
    response.setHeader('x-request-id', start.requestId);
    response.setHeader('server-timing', timings.header());
    throw thrown;
  }
}

/** A request that failed before anybody could answer it. */
export function tellEnd(emit: EmitEvent, thrown: unknown): void {
  const { code, status, cause } = toAutoglmError(thrown);
  emit({ type: 'request-end', outcome: code === 'client_closed_request' ? 'abandoned' : 'failed', status, code, cause });
}

/** The client's bound on its request, where it gave one. */
export function abortAfter(hand: Hand, deadlineMs: number | undefined): NodeJS.Timeout | undefined {
  if (deadlineMs === undefined) return undefined;
  return setTimeout(() => hand.abort.abort(new AutoglmError('deadline_exceeded', `The answer was not complete within deadline_ms: ${deadlineMs}.`)), deadlineMs);
}

export function startOf(headers: IncomingHttpHeaders, requestId: string, operation: RequestStart['operation']): RequestStart {
  const text = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined);
  return {
    requestId,
    operation,
    startedAtMs: performance.now(),
    traceparent: text(headers['traceparent']),
    tracestate: text(headers['tracestate']),
  };
}

/** Field by field: what is left of an object without some of its fields costs V8 several times as much. */
function toGatewayRequest(parsed: ParsedRequest, address: string | undefined, own: Required<Pick<GatewayRequest, 'requestId' | 'signal' | 'emit'>> & Pick<GatewayRequest, 'traceContext'>): GatewayRequest {
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
