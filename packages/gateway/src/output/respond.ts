import type { ServerResponse } from 'node:http';
import { AutoglmError, toAutoglmError, type CacheResult, type EmitEvent, type StreamPart } from '@open-autoglm/protocol';
import { encodingOf } from '../common/accepted-encoding.ts';
import type { Exchange } from '../common/exchange.ts';
import { encodeMessagePack, messagePackContentType } from '../common/message-pack.ts';
import { errorBody } from './error-body.ts';
import { handOver } from './hand-over.ts';
import { collectAnswer } from './json-answer.ts';
import { endMessagePackStream, MessagePackAnswer } from './message-pack-answer.ts';
import { SseAnswer } from './sse-answer.ts';

/** A response, and what its headers say. */
type Owed = Pick<Exchange, 'requestId' | 'response' | 'timings' | 'headers'> & Partial<Pick<Exchange, 'format'>>;

/** Answers the client, in whatever way the path ends. Never rejects. */
export async function respond(exchange: Exchange, parts: AsyncIterable<StreamPart>): Promise<void> {
  try {
    if (exchange.format.stream) await sendStream(exchange, parts);
    else await sendJson(exchange, parts);
    if (exchange.response.writableLength > 0) await handOver(exchange.response, exchange.request);
    exchange.request.emit({ type: 'request-end', outcome: 'answered', status: 200 });
  } catch (thrown) {
    endWithout(exchange, exchange.request.emit, thrown);
  }
}

/** Ends a request that was not answered, or not to its end. */
export function endWithout(owed: Owed, emit: EmitEvent, thrown: unknown): void {
  const error = toAutoglmError(thrown);
  const hasLeft = error.code === 'client_closed_request';
  emit({ type: 'request-end', outcome: hasLeft ? 'abandoned' : 'failed', status: error.status, code: error.code, cause: error.cause });
  if (hasLeft) owed.response.destroy();
  else respondError(owed.response, error, owed);
}

/**
 * Writes an error: as the whole response, or as a marked event where a stream has begun. Where its time went is told where it is known.
 * Anything else that has begun is cut off: its headers say how long it is, and what came beyond would stand before the connection's
 * next response.
 */
export function respondError(response: ServerResponse, thrown: unknown, exchange?: Omit<Owed, 'response'>): void {
  const error = toAutoglmError(thrown);
  if (response.destroyed || response.writableEnded) return;
  if (response.headersSent) {
    if (exchange?.format?.stream) endInError(response, errorBody(error, { autoglm: { timings: exchange.timings.fields() } }));
    else response.destroy();
    return;
  }
  const { contentType, body } = encodeWhole(response, errorBody(error));
  response.writeHead(error.status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    ...(error.retryAfterSeconds !== undefined && { 'retry-after': String(error.retryAfterSeconds) }),
    ...(exchange && { 'x-request-id': exchange.requestId, 'server-timing': exchange.timings.header() }),
    ...exchange?.headers,
    ...(error.code === 'draining' && { connection: 'close' }),
    ...(error.status === 401 && { 'www-authenticate': 'Bearer' }),
  });
  response.end(body);
}

/** The status goes out with the first part, so that what fails before it has a status of its own. */
async function sendStream(exchange: Exchange, parts: AsyncIterable<StreamPart>): Promise<void> {
  const { response, request } = exchange;
  const encoding = encodingOf(response.req.headers.accept);
  const answer = encoding === 'json' ? new SseAnswer(exchange) : new MessagePackAnswer(exchange, encoding);
  await answer.send(parts, () => {
    const headers = answerHeaders(exchange, answer.contentType);
    headers.push('cache-control', 'no-cache', 'x-accel-buffering', 'no');
    response.writeHead(200, headers);
  });
  // A path may take no notice of a client that leaves.
  request.signal.throwIfAborted();
  if (!response.headersSent) throw new AutoglmError('internal_error', 'The engine gave no answer.');
  const endingAt = performance.now();
  answer.end();
  request.emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - endingAt, reason: 'encode' });
}

async function sendJson(exchange: Exchange, parts: AsyncIterable<StreamPart>): Promise<void> {
  const { request, response } = exchange;
  const answer = await collectAnswer(exchange, parts);
  request.signal.throwIfAborted();
  sendWhole(exchange, request.emit, () => encodeWhole(response, answer));
}

/** An answer, as it is sent. */
export interface EncodedAnswer {
  readonly contentType: string;
  readonly body: string | Buffer;
}

/** Answers with all at once. */
export function sendWhole(owed: Owed, emit: EmitEvent, encode: () => EncodedAnswer, cache?: CacheResult): void {
  const completeAt = performance.now();
  const { contentType, body } = encode();
  emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - completeAt, reason: 'encode' });
  const headers = answerHeaders(owed, contentType, cache);
  headers.push('content-length', String(Buffer.byteLength(body)));
  owed.response.writeHead(200, headers);
  owed.response.end(body);
}

/** In the encoding that the client wants. */
export function encodeWhole(response: ServerResponse, value: object): EncodedAnswer {
  const encoding = encodingOf(response.req.headers.accept);
  if (encoding === 'json') return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) };
  return { contentType: messagePackContentType(encoding), body: encodeMessagePack(value, encoding) };
}

function endInError(response: ServerResponse, body: object): void {
  const encoding = encodingOf(response.req.headers.accept);
  if (encoding === 'json') response.end(`data: ${JSON.stringify(body)}\n\ndata: [DONE]\n\n`);
  else endMessagePackStream(response, encodeMessagePack(body, encoding));
}

/**
 * All of a response's headers, names and values in turn: those that are set before its head is written, or come as an object, take Node a
 * slower way.
 */
function answerHeaders({ requestId, timings, headers: more }: Owed, contentType: string, cache = timings.cache ?? 'off'): string[] {
  const headers = ['x-request-id', requestId, 'server-timing', timings.header(), 'x-autoglm-cache', cache, 'content-type', contentType];
  if (timings.tier) headers.push('x-autoglm-tier', timings.tier);
  if (timings.engine) headers.push('x-autoglm-engine', timings.engine);
  for (const name in more) headers.push(name, more[name] as string);
  return headers;
}
