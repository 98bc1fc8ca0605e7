import { AutoglmError, type FinishReason, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { errorOfEvent } from './errors.ts';
import { learnFrame, readFramed, type Frame } from './frame.ts';
import { readLogprobs } from './logprobs.ts';
import type { WireAnswer, WireChoice, WireUsage } from './wire.ts';

interface Choice {
  hasBegun: boolean;
  finishReason: FinishReason | undefined;
  /** Counted: tokens with logprobs, else chunks with text. */
  tokens: number;
}

/** Turns another server's answer, whole or in chunks, into parts. Throws `upstream_error` for what is no such answer, and what the server says itself. */
export class AnswerReader {
  readonly #engine: string;
  readonly #push: (part: StreamPart) => void;
  readonly #choices: readonly Choice[];
  #frame: { readonly text: Frame; readonly index: number } | undefined;
  #framesLeft = 4;
  #usage: WireUsage | undefined;
  #isDone = false;

  constructor(engine: string, { input, choiceCount }: Pick<GatewayRequest, 'input' | 'choiceCount'>, push: (part: StreamPart) => void) {
    this.#engine = engine;
    this.#push = push;
    const promptCount = input.kind === 'chat' ? 1 : input.prompts.length;
    this.#choices = Array.from({ length: promptCount * choiceCount }, () => ({ hasBegun: false, finishReason: undefined, tokens: 0 }));
  }

  /** `[DONE]` was read. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** The data of one event. */
  readEvent(data: string): void {
    const text = this.#frame && readFramed(this.#frame.text, data);
    if (this.#frame && text !== undefined) return this.#pushText(this.#frame.index, text);
    if (data === '[DONE]') {
      this.#isDone = true;
      return;
    }
    const chunk = this.#parse(data);
    this.#guard(() => this.#read(chunk));
    this.#learn(data, chunk);
  }

  /** The body of an answer that was not streamed. */
  readWhole(body: string): void {
    const answer = this.#parse(body);
    this.#guard(() => this.#read(answer));
    this.#isDone = true;
  }

  /** The server has said all that it will. Gives the ends of the choices and the usage. Throws when something is missing. */
  end(): void {
    const isCut = this.#choices.some(({ hasBegun, finishReason }) => !hasBegun || (finishReason === undefined && !this.#isDone));
    if (isCut) throw new AutoglmError('upstream_error', `The engine ${this.#engine} ended its answer before it was complete.`);
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens, prompt_tokens_details: details } = this.#usage ?? {};
    const counted = this.#choices.reduce((sum, { tokens }) => sum + tokens, 0);
    const last = this.#choices.at(-1) as Choice;
    // The total is exact; of several choices, the last one takes the difference.
    last.tokens = Math.max(0, last.tokens + (completionTokens ?? counted) - counted);
    for (const [index, { finishReason = 'stop', tokens }] of this.#choices.entries()) {
      this.#push({ type: 'text-end', index, finishReason, completionTokens: tokens, decodeMs: 0 });
    }
    this.#push({
      type: 'usage', index: 0,
      promptTokens: promptTokens ?? 0, cachedTokens: details?.cached_tokens ?? 0, completionTokens: completionTokens ?? counted,
      source: this.#usage ? 'engine' : 'chunks',
    });
  }

  #read(answer: WireAnswer): void {
    if (answer.usage) this.#usage = checkUsage(answer.usage) ?? this.#usage;
    for (const choice of answer.choices ?? []) this.#readChoice(choice);
  }

  #readChoice(wire: WireChoice): void {
    const index = wire.index ?? 0;
    const choice = this.#choices[index];
    if (!choice) throw new TypeError(`there is no choice ${index}`);
    const message = wire.delta ?? wire.message;
    this.#begin(index, choice);
    const thought = message?.reasoning_content ?? message?.reasoning;
    if (thought) {
      choice.tokens += 1;
      this.#push({ type: 'reasoning-delta', index, text: string(thought), tokenCount: 1 });
    }
    const text = message?.content ?? wire.text;
    const logprobs = readLogprobs(wire.logprobs);
    if (text || logprobs?.length) {
      const tokenCount = logprobs?.length ?? 1;
      choice.tokens += tokenCount;
      this.#push({ type: 'text-delta', index, text: string(text ?? ''), tokenCount, ...(logprobs && { logprobs }) });
    }
    if (wire.finish_reason) choice.finishReason = finishReasonOf(wire.finish_reason);
  }

  #begin(index: number, choice: Choice): void {
    if (choice.hasBegun) return;
    choice.hasBegun = true;
    this.#push({ type: 'text-start', index });
  }

  /** A few times, for the first chunk is often unlike the rest; a server whose chunks are all unlike costs nothing more then. */
  #learn(data: string, chunk: WireAnswer): void {
    const index = this.#framesLeft > 0 ? plainIndexOf(chunk) : undefined;
    if (index === undefined) return;
    this.#framesLeft -= 1;
    const text = learnFrame(data, plainTextOf);
    this.#frame = text && { text, index };
  }

  #pushText(index: number, text: string): void {
    if (text === '') return;
    (this.#choices[index] as Choice).tokens += 1;
    this.#push({ type: 'text-delta', index, text, tokenCount: 1 });
  }

  #parse(data: string): WireAnswer {
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch (error) {
      throw this.#unreadable(error);
    }
    if (typeof value !== 'object' || value === null) throw this.#unreadable(undefined);
    const answer = value as WireAnswer;
    if (answer.error || answer.object === 'error') throw errorOfEvent(this.#engine, data);
    return answer;
  }

  /** A field of the wrong type is the server's fault, wherever it is stumbled over. */
  #guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      throw error instanceof TypeError ? this.#unreadable(error) : error;
    }
  }

  #unreadable(cause: unknown): AutoglmError {
    return new AutoglmError('upstream_error', `The engine ${this.#engine} sent something that is not an answer in OpenAI's format.`, { cause });
  }
}

/** The index of the only choice of a chunk that tells a text and nothing else; undefined for every other chunk. */
function plainIndexOf({ choices, usage }: WireAnswer): number | undefined {
  const [choice] = choices ?? [];
  if (!choice || choices?.length !== 1 || usage || choice.logprobs || choice.finish_reason) return undefined;
  const { delta, index = 0 } = choice;
  if (delta?.reasoning_content || delta?.reasoning || 'tool_calls' in (delta ?? {})) return undefined;
  return delta?.content || choice.text ? index : undefined;
}

function plainTextOf(chunk: unknown): string | undefined {
  const [choice] = (chunk as WireAnswer).choices ?? [];
  return choice?.delta?.content ?? choice?.text ?? undefined;
}

const finishReasons: Readonly<Record<string, FinishReason>> = { length: 'length', max_tokens: 'length', content_filter: 'content_filter' };

/** Servers have many words for a natural end; what vLLM calls `abort` and `error` is none. */
function finishReasonOf(reason: string): FinishReason {
  if (reason === 'abort' || reason === 'error') throw new TypeError(`the answer was given up: ${reason}`);
  return finishReasons[reason] ?? 'stop';
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('a text is not a string');
  return value;
}

/** Undefined when it makes no sense; chunks are counted then. */
function checkUsage(usage: WireUsage): WireUsage | undefined {
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  return isCount(usage.prompt_tokens) && isCount(usage.completion_tokens ?? 0) ? usage : undefined;
}
