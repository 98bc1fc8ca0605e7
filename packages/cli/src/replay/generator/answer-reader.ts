import { createParser } from 'eventsource-parser';
import { isRecord } from '../formats/fields.ts';

/** What was seen of one streamed answer so far. */
export interface AnswerFacts {
  readonly chunkCount: number;
  readonly firstTokenAtMs: number | undefined;
  readonly gapMaxMs: number | undefined;
  readonly promptTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly timings: Readonly<Record<string, number>> | undefined;
  /** Only when it was asked to be kept. */
  readonly text: string;
  /** `[DONE]` came, or each choice that began has a `finish_reason`, with which some servers end. The body may go on. */
  readonly isWhole: boolean;
  /** `[DONE]` came: whatever follows is no part of it. */
  readonly isDone: boolean;
  /** Why the stream is no answer: an error event, or what is not an event of completions. */
  readonly error: string | undefined;
  /** What the server itself said in its error event. */
  readonly errorSaid: string | undefined;
}

/** No event of completions is near it; a stream without line ends does not fill the memory. */
const eventLengthMax = 4 * 1024 * 1024;

/**
 * Reads the events of chat and text completions. Each event is parsed as JSON, which costs 2 µs; looking for a quoted word instead
 * would take one server's spelling for the protocol. All text of one piece of the body has the time at which the piece came.
 */
export class AnswerReader implements AnswerFacts {
  chunkCount = 0;
  firstTokenAtMs: number | undefined;
  gapMaxMs: number | undefined;
  promptTokens: number | undefined;
  cachedTokens: number | undefined;
  completionTokens: number | undefined;
  timings: Readonly<Record<string, number>> | undefined;
  text = '';
  error: string | undefined;
  errorSaid: string | undefined;
  isDone = false;
  readonly #keepsText: boolean;
  readonly #choices = new Set<unknown>();
  readonly #finishedChoices = new Set<unknown>();
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({
    maxBufferSize: eventLengthMax,
    onEvent: ({ data }) => this.#read(data),
    // A field that is unknown is none of an error: only a buffer that is full ends the reading.
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') this.error ??= `an event is longer than ${eventLengthMax / 2 ** 20} MiB`;
    },
  });
  #atMs = 0;
  #lastTextAtMs = 0;

  constructor(keepsText: boolean) {
    this.#keepsText = keepsText;
  }

  get isWhole(): boolean {
    return this.isDone || (this.#choices.size > 0 && this.#finishedChoices.size === this.#choices.size);
  }

  push(piece: Uint8Array, atMs: number): void {
    if (this.error !== undefined) return;
    this.#atMs = atMs;
    this.#parser.feed(this.#decoder.decode(piece, { stream: true }));
  }

  #read(data: string): void {
    if (this.error !== undefined || this.isDone) return;
    if (data === '[DONE]') {
      this.isDone = true;
      return;
    }
    let event: unknown;
    try {
      event = JSON.parse(data);
    } catch {
      this.error = 'an event is not JSON';
      return;
    }
    if (!isRecord(event)) this.error = 'an event is not a JSON object';
    else if (event['error'] !== undefined && event['error'] !== null) {
      this.errorSaid = errorMessage(event);
      this.error = `error event: ${this.errorSaid}`;
    } else this.#readChunk(event);
  }

  #readChunk({ choices, usage, autoglm }: Readonly<Record<string, unknown>>): void {
    if (Array.isArray(choices)) for (const choice of choices) if (isRecord(choice)) this.#readChoice(choice);
    if (isRecord(usage)) this.#readUsage(usage);
    if (isRecord(autoglm)) this.#readAutoglm(autoglm);
  }

  #readUsage(usage: Readonly<Record<string, unknown>>): void {
    this.promptTokens = count(usage['prompt_tokens']) ?? this.promptTokens;
    this.completionTokens = count(usage['completion_tokens']) ?? this.completionTokens;
    const details = usage['prompt_tokens_details'];
    if (isRecord(details)) this.cachedTokens = count(details['cached_tokens']) ?? this.cachedTokens;
  }

  /** open-autoglm tells its usage here where the client did not ask for one. */
  #readAutoglm({ timings, usage }: Readonly<Record<string, unknown>>): void {
    if (isRecord(usage)) this.#readUsage(usage);
    if (isRecord(timings))
      this.timings = Object.fromEntries(Object.entries(timings).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
  }

  #readChoice(choice: Readonly<Record<string, unknown>>): void {
    this.#choices.add(choice['index']);
    if (string(choice['finish_reason']) !== undefined) this.#finishedChoices.add(choice['index']);
    const delta = isRecord(choice['delta']) ? choice['delta'] : choice;
    const text = string(delta['content']) ?? string(delta['text']);
    // What a model thinks, and its calls of tools, are tokens as well; vLLM has said `reasoning` and `reasoning_content`.
    const isToken =
      text !== undefined ||
      string(delta['reasoning_content']) !== undefined ||
      string(delta['reasoning']) !== undefined ||
      isFilled(delta['tool_calls']);
    if (!isToken) return;
    if (this.#keepsText && text !== undefined) this.text += text;
    this.chunkCount += 1;
    if (this.firstTokenAtMs === undefined) this.firstTokenAtMs = this.#atMs;
    else this.gapMaxMs = Math.max(this.gapMaxMs ?? 0, this.#atMs - this.#lastTextAtMs);
    this.#lastTextAtMs = this.#atMs;
  }
}

export function errorMessage(body: Readonly<Record<string, unknown>>): string {
  return saidError(body) ?? 'without a message';
}

/** The message of an OpenAI error, or of an engine that sends only a text; undefined where there is neither. */
export function saidError({ error, message, detail }: Readonly<Record<string, unknown>>): string | undefined {
  if (isRecord(error)) return string(error['message']) ?? string(error['code']);
  return string(error) ?? string(message) ?? string(detail);
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}
