import type { GatewayRequest, StreamPart } from '@open-autoglm/protocol';

/** A text as the answer of every choice. It cost no token, and says so; `max_tokens`, which bounds what a model writes, is not asked. */
export async function* fixedAnswer({ choiceCount }: GatewayRequest, text: string): AsyncGenerator<StreamPart> {
  for (let index = 0; index < choiceCount; index += 1) {
    yield { type: 'text-start', index };
    yield { type: 'text-delta', text, tokenCount: 0, index };
    yield { type: 'text-end', finishReason: 'stop', completionTokens: 0, decodeMs: 0, index };
  }
  yield { type: 'usage', promptTokens: 0, cachedTokens: 0, completionTokens: 0, source: 'engine', index: 0 };
}
