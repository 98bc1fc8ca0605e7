import { AutoglmError, type Prompt, type PromptSegment } from '@open-autoglm/protocol';
import type { LoadedModel } from '../model.ts';
import { fittingTokens, longestToken, type Reading } from './fitting-tokens.ts';
import { Turns } from './turns.ts';

/** Characters that are tokenized at once though others wait: one or two milliseconds of the worst texts. */
const atOnceMax = 2048;

/** Prompts of a model as token ids, and what is refused of them. Its readings are carried out by `now` or `aside`. */
export class PromptTokenizer {
  readonly #vocabulary: LoadedModel['vocabulary'];
  readonly #contextLength: number;
  /** Of texts that another thread is given: one at a time, since each has a core, and ten times its own memory. */
  readonly #turns = new Turns();

  constructor({ vocabulary, info }: Pick<LoadedModel, 'vocabulary' | 'info'>) {
    this.#vocabulary = vocabulary;
    this.#contextLength = info.contextLength;
  }

  now<T>(reading: Reading<T>): T {
    let next = reading.next();
    while (!next.done) next = reading.next(this.#tokensOf(next.value));
    return next.value;
  }

  /**
   * As `now`, with long texts tokenized by another thread: steps go on meanwhile. Short ones are tokenized before this returns. Rejects
   * with the signal's reason instead of waiting for that thread any more; the text that it has is tokenized to its end.
   */
  async aside<T>(reading: Reading<T>, signal?: AbortSignal): Promise<T> {
    let next = reading.next();
    for (let characters = 0; !next.done;) {
      characters += next.value.text.length;
      if (characters <= atOnceMax) {
        next = reading.next(this.#tokensOf(next.value));
      } else {
        characters = 0;
        next = reading.next(await this.#tokensAside(next.value, signal));
      }
    }
    return next.value;
  }

  /**
   * The prompt's token ids, with the token that every text begins with where the model wants one. Throws `context_length_exceeded`,
   * `invalid_value`.
   */
  *read(prompt: Prompt): Reading<number[]> {
    if ('tokens' in prompt) return this.#checkTokens(prompt.tokens);
    this.#checkLength(prompt.segments);
    const tokens: number[] = [];
    for (const segment of prompt.segments) for (const token of yield segment) tokens.push(token);
    return this.#withBos(tokens);
  }

  /**
   * As `read`, of a prompt that leaves room in the context for a token more; `context_length_exceeded` as soon as it is clear that it does
   * not.
   */
  *readFitting(prompt: Prompt): Reading<number[]> {
    const tokens = 'tokens' in prompt ? this.#checkTokens(prompt.tokens) : yield* this.#readSegmentsFitting(prompt.segments);
    if (tokens.length >= this.#contextLength) throw this.#tooLong(String(tokens.length));
    return tokens;
  }

  /** How many tokens each segment has, without what every text begins with. */
  *count(segments: readonly PromptSegment[]): Reading<number[]> {
    this.#checkLength(segments);
    const counts: number[] = [];
    for (const segment of segments) counts.push((yield segment).length);
    return counts;
  }

  *#readSegmentsFitting(segments: readonly PromptSegment[]): Reading<number[]> {
    this.#checkLength(segments);
    const tokens = yield* fittingTokens(segments, this.#contextLength);
    if (!tokens) throw this.#tooLong(`more than ${this.#contextLength}`);
    return this.#withBos(tokens);
  }

  #tokensOf({ kind, text }: PromptSegment): number[] {
    return this.#vocabulary.tokenize(text, kind === 'control');
  }

  #tokensAside({ kind, text }: PromptSegment, signal: AbortSignal | undefined): Promise<number[]> {
    return this.#turns.take(() => this.#vocabulary.tokenizeAside(text, kind === 'control'), signal);
  }

  #withBos(tokens: number[]): number[] {
    const { addsBos, bos } = this.#vocabulary;
    return !addsBos || bos === undefined || tokens[0] === bos ? tokens : [bos, ...tokens];
  }

  #checkTokens(tokens: readonly number[]): number[] {
    const { size } = this.#vocabulary;
    const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= size);
    if (wrong !== undefined)
      throw new AutoglmError('invalid_value', `Token id ${wrong} is not in the model's vocabulary of ${size}.`, { param: 'prompt' });
    return [...tokens];
  }

  /** Refuses before tokenizing what cannot fit however it is cut. */
  #checkLength(segments: readonly PromptSegment[]): void {
    const characters = segments.reduce((sum, { text }) => sum + text.length, 0);
    if (characters <= this.#contextLength * longestToken) return;
    throw new AutoglmError(
      'context_length_exceeded',
      `The prompt has ${characters} characters, far more than the model's context of ${this.#contextLength} tokens.`,
      { param: 'messages' },
    );
  }

  #tooLong(count: string): AutoglmError {
    return new AutoglmError(
      'context_length_exceeded',
      `The prompt has ${count} tokens; the model's context of ${this.#contextLength} must hold the prompt and at least one token more.`,
      { param: 'messages' },
    );
  }
}
