import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AutoglmError, toAutoglmError, type EmitEvent, type GatewayRequest, type StreamPart, type TraceContext } from '@open-autoglm/protocol';
import type { AnswerTimings, Exchange } from '../common/exchange.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import type { RequestStart } from '../common/request-start.ts';
import { readJson } from './body.ts';
import { createConsole } from './console.ts';
import { healthAnswer, modelAnswer, modelsAnswer, readinessAnswer, type JsonAnswer } from './information.ts';
import { parseRemoteChat, parseRemoteCompletion } from './to-remote-request.ts';
import { parseChat, parseCompletion, type ParsedRequest } from './to-request.ts';

export interface IngressParts {
  readonly catalog: ModelCatalog;
  readonly bodyLimitBytes: number;
  /** More generations at once than this, waiting ones included, are refused with 429. */
  readonly maxRunning: number;
  readonly path: (request: GatewayRequest) => AsyncIterable<StreamPart>;
  /** Read at `/metrics`; absent: there is no such route. */
  readonly metrics: MetricsSource | undefined;
  readonly follow: (start: RequestStart) => { readonly emit: EmitEvent; readonly timings: AnswerTimings; readonly traceContext: TraceContext | undefined };
  readonly respond: (exchange: Exchange, parts: AsyncIterable<StreamPart>) => Promise<void>;
  readonly respondError: (response: ServerResponse, error: unknown) => void;
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

/** Requests with their headers must be here within this; a client that drips bytes holds nothing for longer. */
const requestTimeoutMs = 60_000;
const headersTimeoutMs = 10_000;
/** At the end of a drain: how long an aborted client has to read its error, and open connections to become idle. */
const graceMs = 1000;

/** HTTP in OpenAI's words, in front of the request path. */
export function createIngress(parts: IngressParts): Ingress {
  const running = new Set<AbortController>();
  const web = createConsole();
  let draining = false;
  let onIdle = () => {};

  const generations: Readonly<Record<string, Generation>> = {
    '/v1/chat/completions': { operation: 'chat', parse: parseChat, parseRemote: parseRemoteChat },
    '/v1/completions': { operation: 'text_completion', parse: parseCompletion, parseRemote: parseRemoteCompletion },
  };
  const information = (path: string): JsonAnswer | undefined => {
    if (path === '/healthz') return healthAnswer();
    if (path === '/readyz') return readinessAnswer(parts.catalog.readiness(), draining);
    if (path === '/v1/models') return modelsAnswer(parts.catalog);
    if (path.startsWith('/v1/models/')) return modelAnswer(parts.catalog, path.slice('/v1/models/'.length));
    return undefined;
  };

  const route = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('x-request-id', requestId(message));
    const path = (message.url ?? '/').split('?', 1)[0] as string;
    const generation = generations[path];
    if (generation) {
      allow(message, response, 'POST');
      return generate(message, response, generation);
    }
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

  const generate = async (message: IncomingMessage, response: ServerResponse, generation: Generation): Promise<void> => {
    const start = startOf(message, response, generation.operation);
    const { emit, timings, traceContext } = parts.follow(start);
    const asked = await read(message, response, generation).catch((thrown: unknown) => {
      const { code, status, cause } = toAutoglmError(thrown);
      emit({ type: 'request-end', outcome: code === 'client_closed_request' ? 'abandoned' : 'failed', status, code, cause });
      response.setHeader('server-timing', timings.header());
      throw thrown;
    });
    const { abort, parsed: { format, deadlineMs, session, ...rest } } = asked;
    emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - start.startedAtMs, reason: 'body' });
    emit({ type: 'request-parsed', model: rest.model, stream: format.stream, maxTokens: rest.maxTokens, choiceCount: rest.choiceCount });
    const request: GatewayRequest = {
      ...rest,
      id: `${format.api === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
      prompts: undefined,
      stream: format.stream,
      traceContext,
      client: { address: message.socket.remoteAddress, session },
      signal: abort.signal,
      emit,
    };
    const deadline = deadlineMs === undefined ? undefined : setTimeout(() => {
      abort.abort(new AutoglmError('deadline_exceeded', `The answer was not complete within deadline_ms: ${deadlineMs}.`));
    }, deadlineMs);
    const exchange = { request, format, response, timings, created: Math.floor(Date.now() / 1000) };
    await parts.respond(exchange, parts.path(request)).finally(() => clearTimeout(deadline));
  };

  /** Takes a request in hand, within the bound, and reads its body. */
  const read = async (message: IncomingMessage, response: ServerResponse, { parse, parseRemote }: Generation) => {
    if (draining) throw new AutoglmError('draining', 'The server is shutting down: send the request to another one.', { retryAfterSeconds: 5 });
    if (running.size >= parts.maxRunning) throw new AutoglmError('queue_full', `The server has ${running.size} requests in hand already.`, { retryAfterSeconds: 1 });
    const abort = new AbortController();
    running.add(abort);
    response.once('close', () => {
      running.delete(abort);
      if (running.size === 0) onIdle();
      if (!response.writableFinished) abort.abort(new AutoglmError('client_closed_request', 'The client left.'));
    });
    const body = await readJson(message, parts.bodyLimitBytes, abort.signal);
    const isRemote = parts.catalog.isRemote((body as { model?: unknown } | null)?.model);
    return { abort, parsed: (isRemote ? parseRemote : parse)(body, message.headers) };
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
          for (const abort of running) abort.abort(new AutoglmError('draining', 'The server is shutting down; the answer is incomplete.'));
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

/** The client's own id where it is a sensible one. */
function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function startOf({ headers }: IncomingMessage, response: ServerResponse, operation: RequestStart['operation']): RequestStart {
  const text = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined);
  return {
    requestId: String(response.getHeader('x-request-id')),
    operation,
    startedAtMs: performance.now(),
    traceparent: text(headers['traceparent']),
    tracestate: text(headers['tracestate']),
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
