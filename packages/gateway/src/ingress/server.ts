import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AutoglmError, toAutoglmError, type EmbeddingAnswer, type EmbeddingRequest, type EmitEvent, type GatewayRequest, type StreamPart, type TraceContext } from '@open-autoglm/protocol';
import type { EmbeddingCatalog } from '../common/embedding-catalog.ts';
import type { AnswerTimings, Exchange } from '../common/exchange.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import type { RequestStart } from '../common/request-start.ts';
import { readJson } from './body.ts';
import { createConsole } from './console.ts';
import { healthAnswer, modelAnswer, modelsAnswer, readinessAnswer, type JsonAnswer } from './information.ts';
import { parseEmbeddings } from './to-embedding-request.ts';
import { parseRemoteChat, parseRemoteCompletion } from './to-remote-request.ts';
import { parseChat, parseCompletion, type ParsedRequest } from './to-request.ts';
import { checkWellFormed } from './validate.ts';

export interface IngressParts {
  readonly catalog: ModelCatalog;
  readonly bodyLimitBytes: number;
  /** More generations at once than this, waiting ones included, are refused with 429. */
  readonly maxRunning: number;
  readonly path: (request: GatewayRequest) => AsyncIterable<StreamPart>;
  readonly embeddings: EmbeddingCatalog;
  readonly embeddingPath: (call: EmbeddingCall) => Promise<EmbeddingAnswer>;
  /** Read at `/metrics`; absent: there is no such route. */
  readonly metrics: MetricsSource | undefined;
  readonly follow: (start: RequestStart) => { readonly emit: EmitEvent; readonly timings: AnswerTimings; readonly traceContext: TraceContext | undefined };
  readonly respond: (exchange: Exchange, parts: AsyncIterable<StreamPart>) => Promise<void>;
  readonly respondEmbeddings: (exchange: EmbeddingExchange, answer: Promise<EmbeddingAnswer>) => Promise<void>;
  readonly respondError: (response: ServerResponse, error: unknown) => void;
}

/** A request for embeddings, as its path takes it. */
interface EmbeddingCall {
  readonly model: string;
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

/** What its answer needs to know. */
interface EmbeddingExchange extends Pick<EmbeddingCall, 'model' | 'signal' | 'emit'>, Pick<Exchange, 'requestId' | 'response' | 'timings'> {
  readonly encodingFormat: 'float' | 'base64';
}

/** Metrics in a text format. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

export interface Ingress {
  readonly server: Server;
  /**
   * Refuses new generations and goes on telling so; running ones may end within this time and are aborted then. Resolves
   * when every connection is closed, at most two grace periods later.
   */
  drain(timeoutMs: number): Promise<void>;
}

type Parse = (body: unknown, headers: IncomingMessage['headers']) => ParsedRequest;

/** A route that generates. */
interface Generation {
  readonly operation: RequestStart['operation'];
  readonly parse: Parse;
  /** For a model that other servers answer for: what is asked of them is theirs to judge. */
  readonly parseRemote: Parse;
}

/** A generation that is under way. */
class Running {
  readonly abort = new AbortController();
}

/** Requests with their headers must be here within this; a client that drips bytes holds nothing for longer. */
const requestTimeoutMs = 60_000;
const headersTimeoutMs = 10_000;
/** At the end of a drain: how long an aborted client has to read its error, and open connections to become idle. */
const graceMs = 1000;

/** HTTP in OpenAI's words, in front of the request path. */
export function createIngress(parts: IngressParts): Ingress {
  const running = new Set<Running>();
  const web = createConsole();
  let draining = false;
  let onIdle = () => {};

  const generations: Readonly<Record<string, Generation>> = {
    '/v1/chat/completions': { operation: 'chat', parse: parseChat, parseRemote: parseRemoteChat },
    '/v1/completions': { operation: 'text_completion', parse: parseCompletion, parseRemote: parseRemoteCompletion },
  };
  const information = (path: string): JsonAnswer | undefined => {
    if (path === '/healthz') return healthAnswer();
    if (path === '/readyz') return readinessAnswer(parts.catalog.readiness(), parts.embeddings, draining);
    if (path === '/v1/models') return modelsAnswer(parts.catalog, parts.embeddings);
    if (path.startsWith('/v1/models/')) return modelAnswer(parts.catalog, parts.embeddings, path.slice('/v1/models/'.length));
    return undefined;
  };

  const route = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const id = requestId(message);
    const path = (message.url ?? '/').split('?', 1)[0] as string;
    const generation = generations[path];
    if (generation && message.method === 'POST') return generate(message, response, generation, startOf(message, id, generation.operation));
    if (path === '/v1/embeddings' && message.method === 'POST') return embed(message, response, startOf(message, id, 'embeddings'));
    response.setHeader('x-request-id', id);
    if (generation || path === '/v1/embeddings') allow(message, response, 'POST');
    if (path === '/metrics' && parts.metrics) {
      allow(message, response, 'GET', 'HEAD');
      return sendMetrics(response, parts.metrics);
    }
    const answer = information(path);
    const file = answer ? undefined : web.find(path);
    if (!answer && !file) throw new AutoglmError('route_not_found', `There is nothing at ${message.method} ${path}.`);
    allow(message, response, 'GET', 'HEAD');
    if (answer) sendJson(response, answer);
    else file?.send(response);
  };

  const generate = async (message: IncomingMessage, response: ServerResponse, generation: Generation, start: RequestStart): Promise<void> => {
    const followed = parts.follow(start);
    const { emit, timings, traceContext } = followed;
    const hand = new Running();
    const parsed = await take(message, response, start, followed, hand, (value) => {
      const isRemote = parts.catalog.isRemote((value as { model?: unknown } | null)?.model);
      return (isRemote ? generation.parseRemote : generation.parse)(value, message.headers);
    });
    const { requestId } = start;
    const { format, deadlineMs } = parsed;
    emit({ type: 'request-parsed', model: parsed.model, stream: format.stream, maxTokens: parsed.maxTokens, choiceCount: parsed.choiceCount });
    const request = toGatewayRequest(parsed, message, { traceContext, signal: hand.abort.signal, emit });
    const deadline = abortAfter(hand, deadlineMs);
    try {
      await parts.respond({ request, requestId, format, response, timings, created: Math.floor(Date.now() / 1000) }, parts.path(request));
    } finally {
      clearTimeout(deadline);
    }
  };

  const embed = async (message: IncomingMessage, response: ServerResponse, start: RequestStart): Promise<void> => {
    const followed = parts.follow(start);
    const { emit, timings, traceContext } = followed;
    const hand = new Running();
    const asked = await take(message, response, start, followed, hand, (value) => parseEmbeddings(value, message.headers, parts.embeddings.isRemote((value as { model?: unknown } | null)?.model)));
    const { model, inputs, dimensions, truncate, fields, encodingFormat, deadlineMs } = asked;
    const { signal } = hand.abort;
    emit({ type: 'request-parsed', model, stream: false, maxTokens: undefined, choiceCount: 1 });
    const request = { id: `embd-${randomUUID()}`, inputs, dimensions, truncate, fields, traceContext };
    const deadline = abortAfter(hand, deadlineMs);
    try {
      await parts.respondEmbeddings({ model, encodingFormat, requestId: start.requestId, response, timings, signal, emit }, parts.embeddingPath({ model, request, signal, emit }));
    } finally {
      clearTimeout(deadline);
    }
  };

  /** Reads a request that is followed; one that cannot be read ends here, and the error says where its time went. */
  const take = async <T>(message: IncomingMessage, response: ServerResponse, start: RequestStart, { emit, timings }: ReturnType<IngressParts['follow']>, hand: Running, parse: (value: unknown) => T): Promise<T> => {
    try {
      const parsed = await read(message, response, hand, parse);
      emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - start.startedAtMs, reason: 'body' });
      return parsed;
    } catch (thrown) {
      const { code, status, cause } = toAutoglmError(thrown);
      emit({ type: 'request-end', outcome: code === 'client_closed_request' ? 'abandoned' : 'failed', status, code, cause });
      response.setHeader('x-request-id', start.requestId);
      response.setHeader('server-timing', timings.header());
      throw thrown;
    }
  };

  /** Takes a request in hand, within the bound, and reads its body. */
  const read = async <T>(message: IncomingMessage, response: ServerResponse, hand: Running, parse: (value: unknown) => T): Promise<T> => {
    if (draining) throw new AutoglmError('draining', 'The server is shutting down: send the request to another one.', { retryAfterSeconds: 5 });
    if (running.size >= parts.maxRunning) throw new AutoglmError('queue_full', `The server has ${running.size} requests in hand already.`, { retryAfterSeconds: 1 });
    running.add(hand);
    response.once('close', () => {
      running.delete(hand);
      if (running.size === 0) onIdle();
      if (!response.writableFinished) hand.abort.abort(new AutoglmError('client_closed_request', 'The client left.'));
    });
    const { value, hasEscapes } = await readJson(message, parts.bodyLimitBytes, hand.abort.signal);
    const parsed = parse(value);
    if (hasEscapes) checkWellFormed(value);
    return parsed;
  };

  const server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: headersTimeoutMs, noDelay: true }, (message, response) => {
    route(message, response).catch((error: unknown) => {
      // A body that was not read to its end would be taken for the next request.
      if (!message.complete) response.setHeader('connection', 'close');
      parts.respondError(response, error);
    });
  });
  server.on('clientError', refuseMalformed);
  return {
    server,
    async drain(timeoutMs) {
      draining = true;
      const idle = new Promise<void>((resolve) => (onIdle = resolve));
      if (running.size === 0) onIdle();
      const timers = [
        setTimeout(() => {
          for (const { abort } of running) abort.abort(new AutoglmError('draining', 'The server is shutting down; the answer is incomplete.'));
        }, timeoutMs),
        setTimeout(() => server.closeAllConnections(), timeoutMs + graceMs),
      ];
      await idle;
      for (const timer of timers) clearTimeout(timer);
      await close(server);
    },
  };
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}

function allow(message: IncomingMessage, response: ServerResponse, ...methods: string[]): void {
  if (methods.includes(message.method ?? '')) return;
  response.setHeader('allow', methods.join(', '));
  throw new AutoglmError('method_not_allowed', `${message.method} is not allowed here; use ${methods.join(' or ')}.`);
}

function sendJson(response: ServerResponse, { status, body }: JsonAnswer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function sendMetrics(response: ServerResponse, metrics: MetricsSource): Promise<void> {
  const text = await metrics.render();
  response.writeHead(200, { 'content-type': metrics.contentType, 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' });
  response.end(text);
}

/** The client's bound on its request, where it gave one. */
function abortAfter(hand: Running, deadlineMs: number | undefined): NodeJS.Timeout | undefined {
  if (deadlineMs === undefined) return undefined;
  return setTimeout(() => hand.abort.abort(new AutoglmError('deadline_exceeded', `The answer was not complete within deadline_ms: ${deadlineMs}.`)), deadlineMs);
}

/** The client's own id where it is a sensible one. */
function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function startOf({ headers }: IncomingMessage, requestId: string, operation: RequestStart['operation']): RequestStart {
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
function toGatewayRequest(parsed: ParsedRequest, { socket }: IncomingMessage, own: Pick<GatewayRequest, 'traceContext' | 'signal' | 'emit'>): GatewayRequest {
  return {
    id: `${parsed.format.api === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
    model: parsed.model,
    input: parsed.input,
    prompts: undefined,
    tenant: parsed.tenant,
    contextStrategy: parsed.contextStrategy,
    attention: parsed.attention,
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
    client: { address: socket.remoteAddress, session: parsed.session },
    traceContext: own.traceContext,
    signal: own.signal,
    emit: own.emit,
  };
}

/** What is not HTTP has no response object; the answer is written by hand. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const isLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const status = isTimeout ? '408 Request Timeout' : isLarge ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const code = isTimeout ? 'request_timeout' : 'invalid_value';
  const message = isTimeout ? 'The request did not arrive in time.' : isLarge ? 'The headers are too large.' : 'The request is not valid HTTP.';
  const body = JSON.stringify({ error: { message, type: isTimeout ? 'timeout_error' : 'invalid_request_error', code, param: null } });
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
