import { toAutoglmError } from '@open-autoglm/protocol';
import type { TextsExchange } from '../common/texts-exchange.ts';
import { handOver } from './hand-over.ts';
import { respondError } from './respond.ts';

export interface EncodedAnswer {
  readonly contentType: string;
  readonly body: string | Buffer;
  /** In `x-autoglm-cache`. */
  readonly cache: 'exact' | 'off';
}

/** Answers the client, in whatever way the path ends. Never rejects. */
export async function respondTexts<Answer>(exchange: TextsExchange<unknown>, path: Promise<Answer>, encode: (answer: Answer) => EncodedAnswer): Promise<void> {
  const { response, timings, emit } = exchange;
  try {
    const answer = await path;
    const completeAt = performance.now();
    const { contentType, body, cache } = encode(answer);
    emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - completeAt, reason: 'encode' });
    response.writeHead(200, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      'x-request-id': exchange.requestId,
      'server-timing': timings.header(),
      'x-autoglm-cache': cache,
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
