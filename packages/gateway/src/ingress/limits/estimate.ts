import type { EmbeddingRequest, GatewayRequest } from '@open-autoglm/protocol';

/** A chat template puts about so many tokens around each message. */
const tokensPerMessage = 4;
/** English has about four bytes a token, Chinese about one and a third characters of three bytes. */
const bytesPerToken = 4;

/** Tokens of a prompt before anybody has counted them. */
export function estimatePrompt(input: GatewayRequest['input']): number {
  if (input.kind === 'completion') return estimateTexts(input.prompts);
  let bytes = 0;
  for (const { content } of input.messages) bytes += Buffer.byteLength(content);
  return Math.ceil(bytes / bytesPerToken) + input.messages.length * tokensPerMessage;
}

export function estimateTexts(texts: EmbeddingRequest['inputs']): number {
  let tokens = 0;
  for (const text of texts) tokens += typeof text === 'string' ? Math.ceil(Buffer.byteLength(text) / bytesPerToken) : text.length;
  return tokens;
}
