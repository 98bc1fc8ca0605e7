import type { GatewayRequest } from '@open-autoglm/protocol';

/** Each prompt that was read moves the estimate by this share of the difference. */
const share = 0.05;
/** English has about four characters a token, Chinese one or two. */
const tokensPerCharacterFirst = 0.3;

/** How many tokens a prompt will have, by its characters: good enough for an order, and nothing is tokenized for it. */
export class PromptSize {
  #tokensPerCharacter = tokensPerCharacterFirst;

  tokensOf(request: GatewayRequest): number {
    const tokens = tokenCount(request);
    return tokens ?? Math.ceil(charactersOf(request) * this.#tokensPerCharacter);
  }

  learn(request: GatewayRequest, promptTokens: number): void {
    const characters = charactersOf(request);
    if (characters > 0 && promptTokens > 0) this.#tokensPerCharacter += (promptTokens / characters - this.#tokensPerCharacter) * share;
  }
}

/** Of prompts that are token ids already. */
function tokenCount({ input }: GatewayRequest): number | undefined {
  if (input.kind === 'chat' || typeof input.prompts[0] === 'string') return undefined;
  return input.prompts.reduce((sum, prompt) => sum + prompt.length, 0);
}

function charactersOf({ input }: GatewayRequest): number {
  let count = 0;
  if (input.kind === 'chat') for (const { content } of input.messages) count += content.length;
  else for (const prompt of input.prompts) count += prompt.length;
  return count;
}
