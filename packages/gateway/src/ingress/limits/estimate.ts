import type { DocumentOptions, EmbeddingRequest, GatewayRequest } from '@open-autoglm/protocol';

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

/** Each is read whole. What is found in them, or written of them, then stands in the prompt; a summary is written first. */
export function estimateDocuments({ mode, texts, tokensMax }: DocumentOptions, tokensMaxConfigured: number): number {
  const read = estimateTexts(texts.map(({ text }) => text));
  const found = Math.min(read, tokensMax ?? tokensMaxConfigured);
  return read + (mode === 'summarize' ? 2 * found : found);
}

export function estimateTexts(texts: EmbeddingRequest['inputs']): number {
  let tokens = 0;
  for (const text of texts) tokens += typeof text === 'string' ? Math.ceil(Buffer.byteLength(text) / bytesPerToken) : text.length;
  return tokens;
}
