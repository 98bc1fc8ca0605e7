import { TextDecoder } from 'node:util';
import type { OutcomeKind, RequestOutcome } from '../outcome.ts';
import { AnswerReader, errorMessage } from './answer-reader.ts';
import { isRightAnswer } from './answer-check.ts';
import type { FactKind } from './exchange-facts.ts';
import { tryParseRecord } from '../formats/fields.ts';
import type { ExpectedAnswer } from './prepared.ts';

/** Of the body of a refusal. */
const refusalLengthMax = 16 * 1024;
const errorLengthMax = 200;
const decoder = new TextDecoder();

/** Makes the outcome of one request from the facts that are told of it. */
export class Exchange {
  readonly #expected: ExpectedAnswer;
  readonly #reader: AnswerReader;
  #dueAtMs = 0;
  #sentAtMs: number | undefined;
  #status: number | undefined;
  #contentType = '';
  #refusal = '';
  /** Only a refusal needs one: a character may be cut between two pieces. */
  #refusalDecoder: TextDecoder | undefined;

  constructor(expected: ExpectedAnswer) {
    this.#expected = expected;
    this.#reader = new AnswerReader(expected.answer !== undefined);
  }

  /** The outcome, once there is one; no fact may be told after it. Some are known before the connection has ended. */
  take(kind: FactKind, atMs: number, value: number, bytes: Uint8Array): RequestOutcome | undefined {
    switch (kind) {
      case 'unsent':
        this.#dueAtMs = value;
        return this.#outcome('abandoned', atMs, decoder.decode(bytes));
      case 'sent':
        this.#dueAtMs = value;
        this.#sentAtMs = atMs;
        return undefined;
      case 'head':
        this.#status = value;
        this.#contentType = decoder.decode(bytes);
        return undefined;
      case 'piece':
        return this.#takePiece(atMs, bytes);
      case 'whole':
        return this.#takeEnd(atMs);
      case 'broken':
        return this.#outcome(this.#brokenKind, atMs, decoder.decode(bytes));
      case 'timed-out':
      case 'abandoned':
        return this.#outcome(kind, atMs, decoder.decode(bytes));
    }
  }

  #takePiece(atMs: number, bytes: Uint8Array): RequestOutcome | undefined {
    if (this.#isStream) this.#reader.push(bytes, atMs);
    else if (this.#refusal.length < refusalLengthMax)
      this.#refusal += (this.#refusalDecoder ??= new TextDecoder()).decode(bytes, { stream: true });
    // It may go on for ever with what nobody reads.
    return this.#reader.error === undefined ? undefined : this.#outcome(this.#brokenKind, atMs, this.#reader.error);
  }

  #takeEnd(atMs: number): RequestOutcome {
    const status = this.#status as number;
    if (status < 200 || status > 299) {
      const isRefused = (status >= 400 && status < 500) || status === 503;
      return this.#outcome(isRefused ? 'refused' : 'failed', atMs, this.#describeRefusal(status));
    }
    if (!this.#isStream) return this.#outcome('failed', atMs, `no event stream, but ${this.#contentType || 'no content type'}`);
    return this.#reader.isWhole
      ? this.#outcome('answered', atMs)
      : this.#outcome(this.#brokenKind, atMs, 'the stream ended without finish_reason or [DONE]');
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

  #outcome(outcome: OutcomeKind, endedAtMs: number, error?: string): RequestOutcome {
    const { index, target, slice, promptTokensWanted, answer } = this.#expected;
    const reader = this.#reader;
    const known = {
      sentAtMs: this.#sentAtMs,
      firstTokenAtMs: reader.firstTokenAtMs,
      promptTokensWanted,
      promptTokens: reader.promptTokens,
      cachedTokens: reader.cachedTokens,
      status: this.#status,
      error: error?.slice(0, errorLengthMax),
      answerCorrect: outcome === 'answered' && answer ? isRightAnswer(reader.text, answer) : undefined,
      timings: reader.timings,
      gapMaxMs: reader.gapMaxMs,
    };
    return {
      index,
      target,
      slice,
      endedAtMs,
      outcome,
      dueAtMs: this.#dueAtMs,
      chunkCount: reader.chunkCount,
      outputTokens: reader.completionTokens ?? reader.chunkCount,
      ...withoutUndefined(known),
    };
  }
}

function withoutUndefined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
