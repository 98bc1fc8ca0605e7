import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Asker, AskCall, EmbeddingAsker, Relay } from '../common/asker.ts';
import { cutWhenStalled } from '../common/caught-up.ts';
import { bodyTimeoutMs, discardRest, readJson, type BodyReading } from './body.ts';
import { ClassificationRequests, type ClassificationParts } from './classification-requests.ts';
import { createConsole } from './console.ts';
import { isUnasked, type Cors } from './cors.ts';
import { EmbeddingRequests, type EmbeddingParts } from './embedding-requests.ts';
import { Generations, type GenerationParts } from './generations.ts';
import { InHand } from './in-hand.ts';
import { healthAnswer, modelAnswer, modelsAnswer, readinessAnswer, type JsonAnswer } from './information.ts';
import { describeMissing } from './missing-route.ts';
import type { FindResource } from './resource.ts';
import { sendJson } from './send-json.ts';

export interface IngressParts extends GenerationParts, EmbeddingParts, ClassificationParts {
  readonly bodies: BodyReading;
  /** Of a file; 0: none is taken. */
  readonly uploadBytesMax: number;
  /** Absent: pages of other origins may not read what is answered. */
  readonly cors?: Cors | undefined;
  /** More generations at once than this, waiting ones included, are refused with 429. */
  readonly maxRunning: number;
  /** Read at `/metrics`; absent: there is no such route. */
  readonly metrics: MetricsSource | undefined;
  /**
   * What else has an address; the first that knows it serves. Each is made with what generates: an asker, for those who ask on somebody's
   * behalf.
   */
  readonly resources?: readonly ((generations: Generations, embeddings: EmbeddingAsker) => FindResource)[];
  readonly respondError: (response: ServerResponse, error: unknown) => void;
}

/** Metrics in a text format. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

export interface Ingress {
  readonly server: Server;
  /** For whom a request does not come over HTTP. */
  readonly asker: Asker & Relay;
  /**
   * Refuses new generations and goes on telling so; running ones may end within this time and are aborted then. Resolves
   * when every connection is closed, at most two grace periods later.
   */
  drain(timeoutMs: number): Promise<void>;
}

const headersTimeoutMs = 10_000;
/** At the end of a drain: how long an aborted client has to read its error, and open connections to become idle. */
const graceMs = 1000;

/** What probes and scrapers read, who have no key. */
const openRoutes: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

const generationRoutes: ReadonlyMap<string, AskCall['api']> = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/completions', 'completion'],
]);

/** HTTP in OpenAI's words, in front of the request path. */
export function createIngress(parts: IngressParts): Ingress {
  const inHand = new InHand(parts.maxRunning);
  const generations = new Generations(parts, inHand);
  const embeddings = new EmbeddingRequests(parts, inHand);
  const classifications = new ClassificationRequests(parts, inHand);
  const resources = (parts.resources ?? []).map((create) => create(generations, embeddings));
  const web = createConsole();

  const information = (path: string): JsonAnswer | undefined => {
    if (path === '/healthz') return healthAnswer();
    if (path === '/readyz') return readinessAnswer(parts.catalog.readiness(), parts.embeddings, inHand.isDraining);
    if (path === '/v1/models') return modelsAnswer(parts.catalog, parts.embeddings);
    if (path.startsWith('/v1/models/')) return modelAnswer(parts.catalog, parts.embeddings, path.slice('/v1/models/'.length));
    return undefined;
  };

  const route = (message: IncomingMessage, response: ServerResponse): Promise<void> | void => {
    if (parts.cors?.answers(message, response)) return undefined;
    if (isUnasked(message) && !parts.cors?.allows(message.headers.origin))
      throw new AutoglmError('permission_denied', 'Pages of this origin may not use this server: server.cors.origins does not name it.');
    const requestId = requestIdOf(message);
    const path = pathOf(message);
    const call = { message, response, requestId, read: (signal: AbortSignal) => readJson(message, parts.bodies, signal) };
    const api = generationRoutes.get(path);
    if (api && message.method === 'POST') return generations.serve({ ...call, api });
    if (path === '/v1/embeddings' && message.method === 'POST') return embeddings.serve(call);
    if (path === '/v1/classify' && message.method === 'POST') return classifications.serve(call);
    response.setHeader('x-request-id', requestId);
    const file = web.find(path);
    if (!file && !openRoutes.has(path)) parts.access.identify(message.headers);
    if (api || path === '/v1/embeddings' || path === '/v1/classify') allow(message, response, 'POST');
    const resource = find(resources, path);
    if (resource) {
      allow(message, response, ...resource.methods);
      return resource.serve({ message, response, path, requestId });
    }
    if (path === '/metrics' && parts.metrics) {
      allow(message, response, 'GET', 'HEAD');
      return sendMetrics(response, parts.metrics);
    }
    const told = information(path);
    if (!told && !file) throw new AutoglmError('route_not_found', describeMissing(message.method ?? '', path));
    allow(message, response, 'GET', 'HEAD');
    if (told) sendJson(response, told.status, told.body);
    else file?.send(response);
    return undefined;
  };

  const answer = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await route(message, response);
    } catch (error) {
      if (!message.complete) discardRest(message, response);
      parts.respondError(response, error);
    }
    if (response.writableEnded && response.writableLength > 0) cutWhenStalled(response);
  };

  const requestTimeout = bodyTimeoutMs(Math.max(parts.bodies.limitBytes, parts.uploadBytesMax));
  const server = createServer({ requestTimeout, headersTimeout: headersTimeoutMs, noDelay: true }, answer);
  server.on('clientError', refuseMalformed);
  return {
    server,
    asker: generations,
    async drain(timeoutMs) {
      const cut = setTimeout(() => server.closeAllConnections(), timeoutMs + graceMs);
      await inHand.drain(timeoutMs);
      clearTimeout(cut);
      await close(server);
    },
  };
}

function find(resources: readonly FindResource[], path: string): ReturnType<FindResource> {
  for (const findIn of resources) {
    const resource = findIn(path);
    if (resource) return resource;
  }
  return undefined;
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

async function sendMetrics(response: ServerResponse, metrics: MetricsSource): Promise<void> {
  const text = await metrics.render();
  response.writeHead(200, { 'content-type': metrics.contentType, 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' });
  response.end(text);
}

/** Without the query; of the absolute form as well, which every server has to take (RFC 9112, 3.2.2). */
function pathOf({ url = '/' }: IncomingMessage): string {
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '');
  const query = target.indexOf('?');
  return (query === -1 ? target : target.slice(0, query)) || '/';
}

/** The client's own id where it is a sensible one. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** What is not HTTP has no response object; the answer is written by hand. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const isLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const status = isTimeout ? '408 Request Timeout' : isLarge ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const code = isTimeout ? 'request_timeout' : 'invalid_value';
  const message = isTimeout
    ? 'The request did not arrive in time.'
    : isLarge
      ? 'The headers are too large.'
      : 'The request is not valid HTTP.';
  const body = JSON.stringify({ error: { message, type: isTimeout ? 'timeout_error' : 'invalid_request_error', code, param: null } });
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
