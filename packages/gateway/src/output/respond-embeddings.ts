import { toAutoglmError, type EmbeddingAnswer, type EmitEvent } from '@open-autoglm/protocol';
import { encodingOf } from '../common/accepted-encoding.ts';
import type { AskedEmbeddings } from '../common/asker.ts';
import type { Exchange } from '../common/exchange.ts';
import { encodeMessagePackFloat32, messagePackContentType } from '../common/message-pack.ts';
import { handOver } from './hand-over.ts';
import { respondError } from './respond.ts';

/** One request for embeddings and the response that it is owed. */
export interface EmbeddingExchange extends Pick<Exchange, 'requestId' | 'response' | 'timings' | 'headers'> {
  readonly model: string;
  readonly encodingFormat: 'float' | 'base64';
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

/** Answers the client, in whatever way the path ends. Never rejects. */
export async function respondEmbeddings(exchange: EmbeddingExchange, path: Promise<EmbeddingAnswer>): Promise<void> {
  const { response, timings, emit } = exchange;
  try {
    const answer = await path;
    const completeAt = performance.now();
    const { contentType, body } = encode(exchange, answer);
    emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - completeAt, reason: 'encode' });
    response.writeHead(200, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      'x-request-id': exchange.requestId,
      'server-timing': timings.header(),
      'x-autoglm-cache': answer.isKept ? 'exact' : 'off',
      ...(timings.tier && { 'x-autoglm-tier': timings.tier }),
      ...(timings.engine && { 'x-autoglm-engine': timings.engine }),
      ...exchange.headers,
    });
    response.end(body);
    if (response.writableLength > 0) await handOver(response, exchange);
    emit({ type: 'request-end', outcome: 'answered', status: 200 });
  } catch (thrown) {
    const error = toAutoglmError(thrown);
    const hasLeft = error.code === 'client_closed_request';
    emit({ type: 'request-end', outcome: hasLeft ? 'abandoned' : 'failed', status: error.status, code: error.code, cause: error.cause });
    if (hasLeft) response.destroy();
    else respondError(response, error, exchange);
  }
}

/** Waits for the answer and writes it as JSON. */
export async function writeEmbeddings({ answer, ...asked }: AskedEmbeddings): Promise<string> {
  return JSON.stringify(toList(asked, await answer, toNumbers));
}

function encode(exchange: EmbeddingExchange, answer: EmbeddingAnswer): { readonly contentType: string; readonly body: string | Buffer } {
  const encoding = encodingOf(exchange.response.req.headers.accept);
  if (encoding === 'json') return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(toList(exchange, answer, toNumbers)) };
  const list = toList(exchange, answer, (vector) => Array.from(vector));
  return { contentType: messagePackContentType(encoding), body: encodeMessagePackFloat32(list, encoding) };
}

/** OpenAI's list of embeddings. */
function toList({ model, encodingFormat, timings }: Pick<EmbeddingExchange, 'model' | 'encodingFormat' | 'timings'>, { vectors, promptTokens }: EmbeddingAnswer, toArray: (vector: Float32Array) => number[]): object {
  const data = vectors.map((vector, index) => ({ object: 'embedding', index, embedding: encodingFormat === 'base64' ? toBase64(vector) : toArray(vector) }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return { object: 'list', data, model, usage, autoglm: { timings: timings.fields() } };
}

/** float32, little-endian, as every machine that we run on has it. */
function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** Nine digits tell a float32 from every other; a double's seventeen would double the answer's size. */
function toNumbers(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(value.toPrecision(9)));
}
