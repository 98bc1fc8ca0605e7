import { AutoglmError, type Prompt, type PromptSegment } from '@open-autoglm/protocol';
import type { LoadedModel } from '../model.ts';
import { fittingTokens } from './fitting-tokens.ts';

/** No token stands for more text than this. */
const longestToken = 256;

/** Prompts of a model as token ids, and what is refused of them. */
export class PromptTokenizer {
  readonly #vocabulary: LoadedModel['vocabulary'];
  readonly #contextLength: number;

  constructor({ vocabulary, info }: Pick<LoadedModel, 'vocabulary' | 'info'>) {
    this.#vocabulary = vocabulary;
    this.#contextLength = info.contextLength;
  }

  /** The prompt's token ids, with the token that every text begins with where the model wants one. Throws `context_length_exceeded`, `invalid_value`. */
  tokenize(prompt: Prompt): number[] {
    if ('tokens' in prompt) return this.#checkTokens(prompt.tokens);
    this.#checkLength(prompt.segments);
    return this.#withBos(prompt.segments.flatMap((segment) => this.#tokensOf(segment)));
  }

  /** As `tokenize`, of a prompt that leaves room in the context for a token more; `context_length_exceeded` as soon as it is clear that it does not. */
  tokenizeFitting(prompt: Prompt): number[] {
    const tokens = 'tokens' in prompt ? this.tokenize(prompt) : this.#tokenizeFitting(prompt.segments);
    if (tokens.length >= this.#contextLength) throw this.#tooLong(String(tokens.length));
    return tokens;
  }

  /** How many tokens each segment has, without what every text begins with. */
  countTokens(segments: readonly PromptSegment[]): number[] {
    this.#checkLength(segments);
    return segments.map((segment) => this.#tokensOf(segment).length);
  }

  #tokenizeFitting(segments: readonly PromptSegment[]): number[] {
    this.#checkLength(segments);
    const tokens = fittingTokens(segments, this.#contextLength, (segment) => this.#tokensOf(segment));
    if (!tokens) throw this.#tooLong(`more than ${this.#contextLength}`);
    return this.#withBos(tokens);
  }

  #tokensOf({ kind, text }: PromptSegment): number[] {
    return this.#vocabulary.tokenize(text, kind === 'control');
  }

  #withBos(tokens: number[]): number[] {
    const { addsBos, bos } = this.#vocabulary;
    return !addsBos || bos === undefined || tokens[0] === bos ? tokens : [bos, ...tokens];
  }

  #checkTokens(tokens: readonly number[]): number[] {
    const { size } = this.#vocabulary;
    const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= size);
    if (wrong !== undefined) throw new AutoglmError('invalid_value', `Token id ${wrong} is not in the model's vocabulary of ${size}.`, { param: 'prompt' });
    return [...tokens];
  }

  /** Refuses before tokenizing what cannot fit however it is cut. */
  #checkLength(segments: readonly PromptSegment[]): void {
    const characters = segments.reduce((sum, { text }) => sum + text.length, 0);
    if (characters <= this.#contextLength * longestToken) return;
    throw new AutoglmError('context_length_exceeded', `The prompt has ${characters} characters, far more than the model's context of ${this.#contextLength} tokens.`, { param: 'messages' });
  }

  #tooLong(count: string): AutoglmError {
    return new AutoglmError('context_length_exceeded', `The prompt has ${count} tokens; the model's context of ${this.#contextLength} must hold the prompt and at least one token more.`, { param: 'messages' });
  }
}
