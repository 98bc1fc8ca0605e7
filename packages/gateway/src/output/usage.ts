import type { StreamPart } from '@open-autoglm/protocol';

/** Token counts of a request, over all its choices. */
export class Usage {
  readonly #choicesPerPrompt: number;
  #promptTokens = 0;
  #cachedTokens = 0;
  #completionTokens = 0;
  #wire: object | undefined;
  #isKnown = true;

  constructor(choicesPerPrompt: number) {
    this.#choicesPerPrompt = choicesPerPrompt;
  }

  /**
   * Whether engines have told all of it: of a choice that only begins, the prompt is not known until a `usage` comes, and counted chunks
   * are no tokens.
   */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  add(part: StreamPart): void {
    // A prompt counts once, however many choices were made of it.
    if (part.type === 'prompt-end' && part.index % this.#choicesPerPrompt === 0) {
      this.#promptTokens += part.promptTokens;
      this.#cachedTokens += part.cachedTokens;
    } else if (part.type === 'text-end') {
      this.#completionTokens += part.completionTokens;
    } else if (part.type === 'text-start') {
      this.#isKnown = false;
    } else if (part.type === 'usage') {
      this.#promptTokens = part.promptTokens;
      this.#cachedTokens = part.cachedTokens;
      this.#completionTokens = part.completionTokens;
      this.#wire = part.wire;
      this.#isKnown = part.source === 'engine';
    }
  }

  toJSON(): object {
    return {
      prompt_tokens: this.#promptTokens,
      completion_tokens: this.#completionTokens,
      total_tokens: this.#promptTokens + this.#completionTokens,
      prompt_tokens_details: { cached_tokens: this.#cachedTokens },
      ...this.#wire,
    };
  }
}
