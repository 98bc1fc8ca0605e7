import type { Dispatcher } from 'undici';
import type { OutcomeKind, RequestOutcome } from '../outcome.ts';
import { AnswerReader, errorMessage } from './answer-reader.ts';
import { isRightAnswer } from './answer-check.ts';
import { describeConnectionError } from './connection-error.ts';
import { tryParseRecord } from '../formats/fields.ts';
import type { PreparedRequest } from './prepared.ts';

export interface ExchangeOptions {
  readonly request: PreparedRequest;
  readonly dueAtMs: number;
  readonly sentAtMs: number;
  readonly now: () => number;
  readonly arrivedAt: () => number;
  /** The server has said something. */
  readonly onBytes: () => void;
  readonly onEnd: (end: ExchangeEnd) => void;
}

export interface ExchangeEnd {
  readonly outcome: RequestOutcome;
  /** The connection can carry another request. */
  readonly isConnectionWhole: boolean;
}

/** Of the body of a refusal. */
const refusalLengthMax = 16 * 1024;
const errorLengthMax = 200;

/** One request and its answer, as undici's handler; ends once, by the server, by the connection, or by `giveUp`. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly sentAtMs: number;
  readonly #options: ExchangeOptions;
  readonly #reader: AnswerReader;
  #status: number | undefined;
  #contentType = '';
  #refusal = '';
  #hasEnded = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.sentAtMs = options.sentAtMs;
    this.#reader = new AnswerReader(options.request.answer !== undefined);
  }

  /** The connection is dropped with it. */
  giveUp(outcome: 'timed-out' | 'abandoned', error: string): void {
    this.#end(outcome, error, false);
  }

  onRequestStart(): void {}

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, unknown>>): void {
    this.#options.onBytes();
    this.#status = status;
    this.#contentType = String(headers['content-type'] ?? '');
  }

  onResponseData(_: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#hasEnded) return;
    if (this.#isStream) this.#reader.push(piece, this.#options.arrivedAt());
    else if (this.#refusal.length < refusalLengthMax) this.#refusal += piece.toString('utf8');
    // It may go on for ever with what nobody reads.
    if (this.#reader.error !== undefined) this.#end(this.#brokenKind, this.#reader.error, false);
  }

  onResponseEnd(): void {
    if (this.#hasEnded) return;
    const status = this.#status as number;
    if (status < 200 || status > 299) {
      const isRefused = (status >= 400 && status < 500) || status === 503;
      this.#end(isRefused ? 'refused' : 'failed', this.#describeRefusal(status), true);
    } else if (!this.#isStream) this.#end('failed', `no event stream, but ${this.#contentType || 'no content type'}`, true);
    else if (!this.#reader.isDone) this.#end(this.#brokenKind, 'the stream ended without [DONE]', true);
    else this.#end('answered', undefined, true, this.#options.arrivedAt());
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#end(this.#brokenKind, describeConnectionError(error), false);
  }

  get #isStream(): boolean {
    return this.#status === 200 && this.#contentType.startsWith('text/event-stream');
  }

  get #brokenKind(): OutcomeKind {
    return this.#isStream ? 'cut' : 'failed';
  }

  #describeRefusal(status: number): string {
    const body = tryParseRecord(this.#refusal);
    return body ? `HTTP ${status}: ${errorMessage(body)}` : `HTTP ${status}`;
  }

  #end(outcome: OutcomeKind, error: string | undefined, isConnectionWhole: boolean, endedAtMs = this.#options.now()): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const { request, dueAtMs, sentAtMs } = this.#options;
    const reader = this.#reader;
    const known = {
      firstTokenAtMs: reader.firstTokenAtMs,
      promptTokensWanted: request.promptTokensWanted,
      promptTokens: reader.promptTokens,
      cachedTokens: reader.cachedTokens,
      status: this.#status,
      error: error?.slice(0, errorLengthMax),
      answerCorrect: outcome === 'answered' && request.answer ? isRightAnswer(reader.text, request.answer) : undefined,
      timings: reader.timings,
      gapMaxMs: reader.gapMaxMs,
    };
    this.#options.onEnd({
      isConnectionWhole,
      outcome: {
        index: request.index, target: request.target, slice: request.slice,
        dueAtMs, sentAtMs, endedAtMs,
        chunkCount: reader.chunkCount,
        outputTokens: reader.completionTokens ?? reader.chunkCount,
        outcome,
        ...withoutUndefined(known),
      },
    });
  }
}

function withoutUndefined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
