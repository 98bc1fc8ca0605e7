import type { ClassifiedTexts } from '../common/classification-call.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import { respondTexts } from './respond-texts.ts';
import { encodeWhole } from './respond.ts';

/** Answers the client in vLLM's words, in whatever way the path ends. Never rejects. */
export function respondClassifications(exchange: TextsExchange<{ readonly model: string }>, path: Promise<ClassifiedTexts>): Promise<void> {
  return respondTexts(exchange, path, (answer) => encodeWhole(exchange.response, toList(exchange, answer)));
}

function toList(
  { parsed: { model }, requestId, timings }: TextsExchange<{ readonly model: string }>,
  { classifications, promptTokens, zeroShot }: ClassifiedTexts,
): object {
  const data = classifications.map(({ label, probs }, index) => ({ index, label, probs, num_classes: probs.length }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens, completion_tokens: 0 };
  return {
    id: `classify-${requestId}`,
    object: 'list',
    created: Math.floor(Date.now() / 1000),
    model,
    data,
    usage,
    autoglm: { ...(zeroShot && { zero_shot: zeroShot }), ...timings.told() },
  };
}
