import { randomUUID } from 'node:crypto';
import { encodingOf } from '../common/accepted-encoding.ts';
import type { ClassifiedTexts } from '../common/classification-call.ts';
import { encodeMessagePack, messagePackContentType } from '../common/message-pack.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import { respondTexts } from './respond-texts.ts';

/** Answers the client in vLLM's words, in whatever way the path ends. Never rejects. */
export function respondClassifications(exchange: TextsExchange<{ readonly model: string }>, path: Promise<ClassifiedTexts>): Promise<void> {
  return respondTexts(exchange, path, (answer) => {
    const encoding = encodingOf(exchange.response.req.headers.accept);
    const list = toList(exchange, answer);
    if (encoding === 'json') return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(list), cache: 'off' };
    return { contentType: messagePackContentType(encoding), body: encodeMessagePack(list, encoding), cache: 'off' };
  });
}

function toList({ parsed: { model }, timings }: TextsExchange<{ readonly model: string }>, { classifications, promptTokens, zeroShot }: ClassifiedTexts): object {
  const data = classifications.map(({ label, probs }, index) => ({ index, label, probs, num_classes: probs.length }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens, completion_tokens: 0 };
  return { id: `classify-${randomUUID()}`, object: 'list', created: Math.floor(Date.now() / 1000), model, data, usage, autoglm: { ...(zeroShot && { zero_shot: zeroShot }), ...timings.told() } };
}
