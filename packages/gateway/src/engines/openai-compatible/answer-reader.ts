import { AutoglmError, type FinishReason, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { errorOfEvent } from './errors.ts';
import { learnFrame, readFramed, type Frame } from './frame.ts';
import { readLogprobs } from './logprobs.ts';
import {
  isErrorAnswer,
  otherAnswerFields,
  otherChoiceFields,
  otherMessageFields,
  usageOf,
  type WireAnswer,
  type WireChoice,
  type WireMessage,
  type WireUsage,
} from './wire.ts';

interface Choice {
  /** The server has said something of it. */
  hasBegun: boolean;
  finishReason: FinishReason | undefined;
  /** Counted: tokens with logprobs, else chunks with text. */
  tokens: number;
  /** What else was said with the reason. */
  ending: Record<string, unknown> | undefined;
}

/** Chunks that say a piece of one choice's text or thoughts, and nothing else. */
interface Framed {
  readonly frame: Frame;
  readonly index: number;
  readonly field: TextField;
}

type TextField = 'content' | 'text' | 'reasoning_content' | 'reasoning';

/**
 * Turns another server's answer, whole or in chunks, into parts. Throws `upstream_error` for what is no such answer, and what the server
 * says itself.
 */
export class AnswerReader {
  readonly #engine: string;
  readonly #push: (part: StreamPart) => void;
  readonly #choices: readonly Choice[];
  /** The client's field that asks for more than one. */
  readonly #severalBy: 'n' | 'prompt';
  #framed: Framed | undefined;
  #framesLeft = 8;
  /** What the answer's chunks have said beside their choices; most say nothing. */
  #said: Map<string, unknown> | undefined;
  /** Of that, what came before any choice: alone it is no answer. */
  #early: Record<string, unknown> | undefined;
  #usage: WireUsage | undefined;
  #isDone = false;

  constructor(engine: string, { input, choiceCount }: Pick<GatewayRequest, 'input' | 'choiceCount'>, push: (part: StreamPart) => void) {
    this.#engine = engine;
    this.#push = push;
    const promptCount = input.kind === 'chat' ? 1 : input.prompts.length;
    const choices: Choice[] = [];
    while (choices.length < promptCount * choiceCount)
      choices.push({ hasBegun: false, finishReason: undefined, tokens: 0, ending: undefined });
    this.#choices = choices;
    this.#severalBy = choiceCount > 1 ? 'n' : 'prompt';
  }

  /** `[DONE]` was read. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Every choice has the reason of its end. */
  get isFinished(): boolean {
    return this.#choices.every(({ finishReason }) => finishReason !== undefined);
  }

  /** The data of one event. */
  readEvent(data: string): void {
    const text = this.#framed && readFramed(this.#framed.frame, data);
    if (this.#framed && text !== undefined) return this.#pushFramed(this.#framed, text);
    if (data === '[DONE]') {
      this.#isDone = true;
      return;
    }
    const chunk = this.#parse(data);
    this.#guard(() => this.#read(chunk));
    this.#learn(data, chunk);
  }

  /** Throws what the server says instead of an event. */
  readError(data: string): never {
    throw errorOfEvent(this.#engine, data);
  }

  /** The body of an answer that was not streamed. */
  readWhole(body: string): void {
    this.readParsed(this.#parse(body));
  }

  /** As `readWhole`. */
  readParsed(answer: WireAnswer): void {
    this.#guard(() => this.#read(answer));
    this.#isDone = true;
  }

  /** The server has said all that it will. Gives the ends of the choices and the usage. Throws when something is missing. */
  end(): void {
    const begun = this.#choices.filter(({ hasBegun }) => hasBegun);
    const isCut =
      begun.length === 0 ||
      (!this.#isDone && (begun.length < this.#choices.length || begun.some(({ finishReason }) => finishReason === undefined)));
    if (isCut) throw new AutoglmError('upstream_error', `The engine ${this.#engine} ended its answer before it was complete.`);
    // Ollama and older versions of llama.cpp pass over `n`: that is what they can do, and no failure.
    if (begun.length < this.#choices.length)
      throw new AutoglmError(
        'unsupported_feature',
        `The engine ${this.#engine} gave ${begun.length} of the ${this.#choices.length} choices that were asked for.`,
        { param: this.#severalBy },
      );
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens, prompt_tokens_details: details } = this.#usage ?? {};
    const counted = this.#choices.reduce((sum, { tokens }) => sum + tokens, 0);
    const last = this.#choices.at(-1) as Choice;
    // The total is exact; of several choices, the last one takes the difference.
    last.tokens = Math.max(0, last.tokens + (completionTokens ?? counted) - counted);
    for (const [index, { finishReason = 'stop', tokens, ending }] of this.#choices.entries()) {
      this.#push({ type: 'text-end', index, finishReason, completionTokens: tokens, decodeMs: 0, ...(ending && { wire: ending }) });
    }
    this.#push({
      type: 'usage',
      index: 0,
      promptTokens: promptTokens ?? 0,
      cachedTokens: details?.cached_tokens ?? 0,
      completionTokens: completionTokens ?? counted,
      source: this.#usage ? 'engine' : 'chunks',
      ...(this.#usage && { wire: this.#usage as Record<string, unknown> }),
    });
  }

  #read(answer: WireAnswer): void {
    this.#usage = usageOf(answer) ?? this.#usage;
    for (const choice of answer.choices ?? []) this.#readChoice(choice);
    const answerFields = this.#news(otherAnswerFields(answer));
    if (!answerFields) return;
    const begun = this.#choices.findIndex(({ hasBegun }) => hasBegun);
    if (begun === -1) this.#early = { ...this.#early, ...answerFields };
    else this.#pushOthers(begun, { answer: answerFields });
  }

  #readChoice(wire: WireChoice): void {
    if (typeof wire !== 'object') throw new TypeError('a choice is no object');
    const index = wire.index ?? 0;
    // Of another type it may name anything that an array has.
    const choice = typeof index === 'number' ? this.#choices[index] : undefined;
    if (!choice) throw new TypeError(`there is no choice ${index}`);
    const message = withoutParts(wire.delta ?? wire.message);
    this.#begin(index, choice);
    this.#readThought(index, choice, message);
    const text = message?.content ?? wire.text;
    const logprobs = readLogprobs(wire.logprobs);
    if (text || logprobs?.length) {
      const tokenCount = logprobs?.length ?? 1;
      choice.tokens += tokenCount;
      this.#push({ type: 'text-delta', index, text: string(text ?? ''), tokenCount, ...(logprobs && { logprobs }) });
    }
    const delta = otherMessageFields(message);
    const others = otherChoiceFields(wire);
    if (wire.finish_reason) {
      choice.finishReason = finishReasonOf(wire.finish_reason);
      choice.ending = others;
      if (delta) this.#pushOthers(index, { delta });
    } else if (delta || others) {
      this.#pushOthers(index, { delta, choice: others });
    }
  }

  #readThought(index: number, choice: Choice, message: WireMessage | null | undefined): void {
    const thought = message?.reasoning_content || message?.reasoning;
    if (!thought) return;
    choice.tokens += 1;
    const field = message?.reasoning_content ? undefined : ({ field: 'reasoning' } as const);
    this.#push({ type: 'reasoning-delta', index, text: string(thought), tokenCount: 1, ...field });
  }

  #pushOthers(
    index: number,
    { delta = {}, choice = {}, answer = {} }: { [K in 'delta' | 'choice' | 'answer']?: Record<string, unknown> | undefined },
  ): void {
    const state = this.#choices[index] as Choice;
    // A chunk of a tool's call is a token or more; only the server's usage knows.
    if (delta['tool_calls']) state.tokens += 1;
    this.#push({ type: 'wire-delta', index, delta, choice, answer });
  }

  /** What the answer's other chunks have not said yet: servers repeat their fingerprint with every token. */
  #news(fields: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
    if (!fields) return undefined;
    const said = (this.#said ??= new Map());
    const news = Object.entries(fields).filter(([name, value]) => said.get(name) !== value);
    for (const [name, value] of news) said.set(name, value);
    return news.length > 0 ? Object.fromEntries(news) : undefined;
  }

  #begin(index: number, choice: Choice): void {
    if (choice.hasBegun) return;
    choice.hasBegun = true;
    this.#push({ type: 'text-start', index });
    const early = this.#early;
    this.#early = undefined;
    if (early) this.#pushOthers(index, { answer: early });
  }

  /** A few times, for the first chunk is often unlike the rest; a server whose chunks are all unlike costs nothing more then. */
  #learn(data: string, chunk: WireAnswer): void {
    const plain = this.#framesLeft > 0 ? plainTextOf(chunk) : undefined;
    if (!plain) return;
    this.#framesLeft -= 1;
    const frame = learnFrame(data, plain.field, (other) => plainTextOf(other as WireAnswer)?.text);
    this.#framed = frame && { frame, index: plain.index, field: plain.field };
  }

  #pushFramed({ index, field }: Framed, text: string): void {
    if (text === '') return;
    (this.#choices[index] as Choice).tokens += 1;
    if (field === 'content' || field === 'text') this.#push({ type: 'text-delta', index, text, tokenCount: 1 });
    else this.#push({ type: 'reasoning-delta', index, text, tokenCount: 1, ...(field === 'reasoning' && { field }) });
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
    if (isErrorAnswer(answer)) throw errorOfEvent(this.#engine, data);
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
    return new AutoglmError('upstream_error', `The engine ${this.#engine} sent something that is not an answer in OpenAI's format.`, {
      cause,
    });
  }
}

/** What a chunk says that says one piece of text and nothing else, but for what is the same in all; undefined for every other chunk. */
function plainTextOf({
  choices,
  usage,
}: WireAnswer): { readonly index: number; readonly field: TextField; readonly text: string } | undefined {
  const [choice] = choices ?? [];
  if (!choice || choices?.length !== 1 || usage || choice.logprobs || choice.finish_reason) return undefined;
  const { delta, index = 0 } = choice;
  if (otherMessageFields(delta) || otherChoiceFields(choice)) return undefined;
  const texts = (
    [
      ['content', delta?.content],
      ['text', choice.text],
      ['reasoning_content', delta?.reasoning_content],
      ['reasoning', delta?.reasoning],
    ] as const
  ).filter(([, text]) => text);
  const [found] = texts;
  return texts.length === 1 && found?.[1] ? { index, field: found[0], text: found[1] } : undefined;
}

/**
 * Some vendors (Mistral's thinking models) write a content of parts, as clients do: its texts, and its thoughts, which have texts
 * themselves.
 */
function withoutParts(message: WireMessage | null | undefined): WireMessage | null | undefined {
  if (!Array.isArray(message?.content)) return message;
  const parts = message.content as readonly ({ readonly type?: unknown; readonly text?: unknown; readonly thinking?: unknown } | null)[];
  const texts = parts
    .filter((part) => part?.type === 'text')
    .map((part) => string(part?.text))
    .join('');
  const thoughts = parts
    .filter((part) => part?.type === 'thinking')
    .flatMap((part) => (Array.isArray(part?.thinking) ? (part.thinking as readonly ({ readonly text?: unknown } | null)[]) : []));
  return {
    ...message,
    content: texts,
    ...(thoughts.length > 0 && { reasoning_content: thoughts.map((part) => string(part?.text ?? '')).join('') }),
  };
}

const finishReasons: Readonly<Record<string, FinishReason>> = {
  length: 'length',
  max_tokens: 'length',
  content_filter: 'content_filter',
  tool_calls: 'tool_calls',
  function_call: 'function_call',
};

/** Servers have many words for a natural end; what vLLM calls `abort` and `error` is none. */
function finishReasonOf(reason: string): FinishReason {
  if (reason === 'abort' || reason === 'error') throw new TypeError(`the answer was given up: ${reason}`);
  return Object.hasOwn(finishReasons, reason) ? (finishReasons[reason] as FinishReason) : 'stop';
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('a text is not a string');
  return value;
}
