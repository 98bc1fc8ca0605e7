import type { TextsExchange } from '../common/texts-exchange.ts';
import { handOver } from './hand-over.ts';
import { endWithout, sendWhole, type EncodedAnswer } from './respond.ts';

/** Answers the client, in whatever way the path ends. Never rejects. */
export async function respondTexts<Answer extends { readonly isKept?: boolean | undefined }>(
  exchange: TextsExchange<unknown>,
  path: Promise<Answer>,
  encode: (answer: Answer) => EncodedAnswer,
): Promise<void> {
  const { response, signal, emit } = exchange;
  try {
    const answer = await path;
    // A path may take no notice of a client that leaves.
    signal.throwIfAborted();
    sendWhole(exchange, emit, () => encode(answer), answer.isKept ? 'exact' : 'off');
    if (response.writableLength > 0) await handOver(response, exchange);
    emit({ type: 'request-end', outcome: 'answered', status: 200 });
  } catch (thrown) {
    endWithout(exchange, emit, thrown);
  }
}
