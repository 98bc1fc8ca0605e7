import { hash } from 'node:crypto';
import { isRecord, type JsonRecord } from '../replay/formats/fields.ts';
import type { RecordedPrompt, RecordedRequest } from '../replay/formats/recorded.ts';
import { AnswerReader } from '../replay/generator/answer-reader.ts';
import type { CompletionPath } from '../replay/trace/trace-format.ts';
import { askedOf, isRepeatable, withoutSecrets } from './asked.ts';
import { shapePrompt } from './prompt-shape.ts';

export interface ExchangeOptions {
  readonly path: CompletionPath;
  /** Of the request's arrival, since the recording began. */
  readonly atMs: number;
  readonly now: () => number;
  readonly keepsContents: boolean;
  readonly key: Buffer;
}

/** Why a request is not in the trace. */
export type Unrecorded = 'not JSON' | 'without a prompt' | 'too large' | 'cut off' | 'not understood';

/** Of a request: what is larger cannot be a prompt that a trace may hold. */
export const bodyBytesMax = 16 * 1024 * 1024;
/** Of an answer: read for its length and its times; what comes after is passed on unread. */
const answerBytesMax = 64 * 1024 * 1024;
const wholeAnswerBytesMax = 8 * 1024 * 1024;

/** What a line holds of a request, before anything is known of its answer. */
interface Asked {
  readonly known: Pick<RecordedRequest, 'autoglm_trace' | 'at_ms' | 'path' | 'model' | 'asked'>;
  readonly isRepeatable: boolean;
  /** There when contents may be kept. */
  readonly body?: JsonRecord;
  /** There otherwise, once it is made. */
  prompt?: RecordedPrompt;
}

/** Looks at one request and its answer as they pass by, and makes a line of them. It touches neither. */
export class Exchange {
  readonly #options: ExchangeOptions;
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #unrecorded: Unrecorded | undefined = 'cut off';
  #asked: Asked | undefined;
  #shaping: Promise<void> = Promise.resolve();
  #status: number | undefined;
  #isStream = false;
  #answerBytes = 0;
  #answerPieces: Buffer[] = [];
  #answerHeldBytes = 0;
  readonly #reader: AnswerReader;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#reader = new AnswerReader(options.keepsContents);
  }

  /** Bytes that are held for it. */
  get heldBytes(): number {
    return this.#heldBytes + this.#answerHeldBytes + this.#reader.text.length;
  }

  requestPiece(piece: Buffer): void {
    if (this.#unrecorded === 'too large') return;
    this.#heldBytes += piece.length;
    if (this.#heldBytes > bodyBytesMax) this.giveUp();
    else this.#pieces.push(piece);
  }

  /** Nothing more is held for it, and it will not be recorded. */
  giveUp(): void {
    this.#leaveOut('too large');
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#forgetAnswer();
  }

  requestEnds(): void {
    if (this.#unrecorded === 'too large') return;
    const body = parseRecord(this.#pieces);
    this.#pieces = [];
    this.#unrecorded = body ? undefined : 'not JSON';
    if (!this.#options.keepsContents) this.#heldBytes = 0;
    // Shaped while the answer is on its way, and awaited only at its end: nobody else would take a failure before that. Lists that are
    // nested more deeply than JSON can be written are one, and any client can send them.
    if (body) this.#shaping = this.#ask(body).catch(() => this.#leaveOut('not understood'));
  }

  answerBegins(status: number, contentType: string): void {
    this.#status = status;
    this.#isStream = contentType.toLowerCase().startsWith('text/event-stream');
  }

  answerPiece(piece: Buffer): void {
    this.#answerBytes += piece.length;
    if (this.#unrecorded === 'too large') return;
    if (this.#isStream) {
      if (this.#answerBytes <= answerBytesMax) this.#reader.push(piece, this.#options.now());
    } else if (this.#answerBytes > wholeAnswerBytesMax || this.#unrecorded) this.#forgetAnswer();
    else {
      this.#answerPieces.push(piece);
      this.#answerHeldBytes += piece.length;
    }
  }

  /** The line, or why there is none. `isComplete`: the answer came to its end. */
  async end(isComplete: boolean): Promise<{ readonly line: string } | { readonly unrecorded: Unrecorded }> {
    const endedAtMs = this.#options.now();
    const answer = this.#readAnswer(isComplete);
    await this.#shaping;
    const request = this.#request(answer.promptTokens);
    if (!request) return { unrecorded: this.#unrecorded ?? 'without a prompt' };
    const line: RecordedRequest = {
      ...request,
      ...(answer.outputTokens !== undefined && { output_tokens: answer.outputTokens }),
      ...(request.body &&
        answer.text !== undefined &&
        this.#asked?.isRepeatable && { answer: { sha256: hash('sha256', answer.text, 'hex') } }),
      recorded: this.#recorded(answer, endedAtMs, isComplete),
    };
    return { line: JSON.stringify(line) };
  }

  /** The line of a request that has not ended, as far as it is known. */
  draft(): string | undefined {
    const request = this.#request(undefined);
    return request && JSON.stringify(request);
  }

  async #ask(body: JsonRecord): Promise<void> {
    const { path, atMs, keepsContents, key } = this.#options;
    const { model } = body;
    const asked: Asked = {
      known: { autoglm_trace: 1, at_ms: round(atMs), path, ...(typeof model === 'string' && { model }), asked: askedOf(body) },
      isRepeatable: isRepeatable(body),
      ...(keepsContents && { body: withoutSecrets(body) as JsonRecord }),
    };
    this.#asked = asked;
    const prompt = keepsContents ? undefined : await shapePrompt(body, key);
    if (prompt) asked.prompt = prompt;
  }

  #leaveOut(reason: Unrecorded): void {
    this.#unrecorded = reason;
    this.#asked = undefined;
  }

  #forgetAnswer(): void {
    this.#answerPieces = [];
    this.#answerHeldBytes = 0;
    this.#reader.text = '';
  }

  #request(promptTokens: number | undefined): RecordedRequest | undefined {
    const { known, body, prompt } = this.#asked ?? {};
    if (!known) return undefined;
    if (body) return { ...known, body };
    return prompt && { ...known, prompt: { ...(promptTokens !== undefined && { tokens: promptTokens }), ...prompt } };
  }

  #readAnswer(isComplete: boolean): ReadAnswer {
    if (!this.#isStream) return readWholeAnswer(Buffer.concat(this.#answerPieces).toString('utf8'), isComplete);
    const { promptTokens, cachedTokens, completionTokens, chunkCount, firstTokenAtMs, text, isWhole, error } = this.#reader;
    const isRead = isComplete && isWhole && error === undefined && this.#answerBytes <= answerBytesMax;
    return {
      promptTokens,
      cachedTokens,
      firstTokenAtMs,
      outputTokens: isRead ? (completionTokens ?? chunkCount) : undefined,
      countedBy: completionTokens === undefined ? 'chunks' : 'usage',
      text: isRead && text !== '' ? text : undefined,
    };
  }

  #recorded(
    { firstTokenAtMs, outputTokens, cachedTokens, countedBy }: ReadAnswer,
    endedAtMs: number,
    isComplete: boolean,
  ): NonNullable<RecordedRequest['recorded']> {
    const { atMs } = this.#options;
    return {
      ...(this.#status !== undefined && { status: this.#status }),
      ...(!isComplete && { cut: true }),
      ...(firstTokenAtMs !== undefined && { ttft_ms: round(firstTokenAtMs - atMs) }),
      ...(firstTokenAtMs !== undefined &&
        outputTokens !== undefined &&
        outputTokens > 1 && { tpot_ms: round((endedAtMs - firstTokenAtMs) / (outputTokens - 1)) }),
      e2e_ms: round(endedAtMs - atMs),
      ...(cachedTokens !== undefined && { cached_tokens: cachedTokens }),
      ...(outputTokens !== undefined && { counted_by: countedBy }),
    };
  }
}

function parseRecord(pieces: readonly Buffer[]): JsonRecord | undefined {
  try {
    const body: unknown = JSON.parse(Buffer.concat(pieces).toString('utf8'));
    return isRecord(body) ? body : undefined;
  } catch {
    return undefined;
  }
}

interface ReadAnswer {
  readonly promptTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly countedBy: 'usage' | 'chunks';
  readonly firstTokenAtMs: number | undefined;
  readonly text: string | undefined;
}

/** One that was not streamed; it has no first token that could be seen. */
function readWholeAnswer(json: string, isComplete: boolean): ReadAnswer {
  const nothing: ReadAnswer = {
    promptTokens: undefined,
    cachedTokens: undefined,
    outputTokens: undefined,
    countedBy: 'usage',
    firstTokenAtMs: undefined,
    text: undefined,
  };
  if (!isComplete) return nothing;
  let answer: unknown;
  try {
    answer = JSON.parse(json);
  } catch {
    return nothing;
  }
  if (!isRecord(answer) || !Array.isArray(answer['choices'])) return nothing;
  const { usage } = answer;
  const [choice] = answer['choices'] as unknown[];
  const message =
    isRecord(choice) && isRecord(choice['message']) ? choice['message']['content'] : isRecord(choice) ? choice['text'] : undefined;
  const text = typeof message === 'string' && message !== '' ? message : undefined;
  if (!isRecord(usage)) return { ...nothing, text };
  const details = usage['prompt_tokens_details'];
  return {
    ...nothing,
    promptTokens: count(usage['prompt_tokens']),
    cachedTokens: isRecord(details) ? count(details['cached_tokens']) : undefined,
    outputTokens: count(usage['completion_tokens']),
    text,
  };
}

function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}

/** To a microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
