import {
  toAutoglmError,
  type AutoglmError,
  type EmitEvent,
  type GatewayEvent,
  type GatewayRequest,
  type Next,
  type ResponseFormat,
  type StreamPart,
} from '@open-autoglm/protocol';
import { tokensTo } from '../../common/tokens-to.ts';
import type { AnswerSample } from './scorers/index.ts';

/** What a held part counts for beside its text: its object, and those of its tokens' probabilities. */
const partCharacters = 64;
const logprobCharacters = 160;

export interface TierTryParts {
  /** As the client sent it, but for the tier's model. */
  readonly request: GatewayRequest;
  readonly next: Next;
  /** An answer larger than this is not held any further; a part counts for its text and some more. */
  readonly heldCharactersMax: number;
  /** Whether the tokens' probabilities were asked for by nobody but the cascade. */
  readonly hidesLogprobs: boolean;
  readonly now: () => number;
}

/**
 * One request at one tier. It begins at once and reads the answer as it comes, into a bounded hold, until somebody takes it or
 * leaves it. What its stages say of the request counts when its answer is the answer.
 */
export class TierTry {
  readonly startedAtMs: number;
  /** Its first token is here, or its end. Rejects with what kept it from that. */
  readonly opened: Promise<void>;
  /** Its whole answer is here, or as much as is held. Rejects with what cut it. */
  readonly held: Promise<void>;
  firstTokenAtMs: number | undefined;
  completionTokens = 0;
  engine: string | undefined;
  readonly #parts: TierTryParts;
  readonly #abort = new AbortController();
  readonly #onAbort: () => void;
  readonly #iterator: AsyncIterator<StreamPart>;
  readonly #reading: Promise<void>;
  readonly #buffer: StreamPart[] = [];
  readonly #open = Promise.withResolvers<void>();
  readonly #hold = Promise.withResolvers<void>();
  #characters = 0;
  #events: GatewayEvent[] | undefined = [];
  #isTaken = false;
  #isComplete = false;
  #failure: AutoglmError | undefined;

  constructor(parts: TierTryParts) {
    const { request, next, now } = parts;
    this.#parts = parts;
    this.startedAtMs = now();
    this.opened = this.#open.promise;
    this.held = this.#hold.promise;
    // Whoever has stopped waiting has heard of it elsewhere.
    this.opened.catch(() => {});
    this.held.catch(() => {});
    this.#onAbort = () => this.#abort.abort(request.signal.reason);
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (request.signal.aborted) this.#onAbort();
    this.#iterator = start(next, { ...request, signal: this.#abort.signal, emit: this.#emit });
    this.#reading = this.#read();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** The choices as far as they are here. */
  samples(): AnswerSample[] {
    const { request } = this.#parts;
    const common = {
      isLimited: request.maxTokens !== undefined,
      responseFormat: request.responseFormat ?? formatIn(request.body?.fields['response_format']),
    };
    const samples: { text: string; logprobs: number[] | undefined; finishReason: AnswerSample['finishReason']; callsTools: boolean }[] = [];
    for (const part of this.#buffer) {
      const sample = (samples[part.index] ??= { text: '', logprobs: undefined, finishReason: undefined, callsTools: false });
      if (part.type === 'text-delta') {
        sample.text += part.text;
        if (part.logprobs) (sample.logprobs ??= []).push(...part.logprobs.map(({ logprob }) => logprob));
      } else if (part.type === 'text-end') sample.finishReason = part.finishReason;
      else if (part.type === 'wire-delta' && part.delta['tool_calls']) sample.callsTools = true;
    }
    return samples.filter((sample) => sample !== undefined).map((sample) => ({ ...common, ...sample }));
  }

  /** The answer, from its beginning: what is here, then what comes. To be asked for once. */
  async *take(): AsyncGenerator<StreamPart> {
    this.#isTaken = true;
    yield* this.#drain();
    await this.#reading;
    yield* this.#drain();
    if (this.#failure) throw this.#failure;
    while (!this.#isComplete) {
      const { value, done } = await this.#iterator.next();
      if (done) this.#end();
      else yield this.#shown(value);
    }
  }

  /** Its answer is the answer: what was said of the request counts, now and from now on. */
  tell(): void {
    const events = this.#events ?? [];
    this.#events = undefined;
    for (const event of events) this.#parts.request.emit(event);
  }

  /**
   * Another tier answers: of this one counts what it took. `isBeside`: while it worked, another one did too, and the time must not count
   * twice.
   */
  tellAsPassed(isBeside: boolean): void {
    const { emit, model } = this.#parts.request;
    const spend = tokensTo(emit, model);
    for (const event of this.#events ?? []) {
      spend(event);
      if (event.type === 'engine-chosen') emit(event);
      else if (event.type === 'tokens-spent') emit(event);
      else if (event.type === 'segment-end' && !isBeside && (event.choice ?? 0) === 0) {
        const { choice: _choice, ...spent } = event;
        emit(spent);
      }
    }
    this.#events = [];
  }

  /** Ends it, wherever it is. Idempotent. */
  leave(): void {
    this.#isTaken = true;
    if (this.#isComplete || this.#failure) return;
    this.#end();
    this.#abort.abort(new Error('the reader left'));
    // One that fails while it ends has nobody left to tell.
    this.#iterator.return?.().catch(() => {});
  }

  readonly #emit: EmitEvent = (event) => {
    if (event.type === 'engine-chosen') this.engine = event.engine;
    if (this.#events) this.#events.push(event);
    else this.#parts.request.emit(event);
  };

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#iterator.next();
        if (done) break;
        this.#keep(value);
        if (this.#isTaken) return;
        if (this.#characters > this.#parts.heldCharactersMax) return this.#hold.resolve();
      }
      this.#end();
      this.#open.resolve();
      this.#hold.resolve();
    } catch (thrown) {
      this.#failure = toAutoglmError(thrown);
      this.#end();
      this.#open.reject(this.#failure);
      this.#hold.reject(this.#failure);
    }
  }

  #keep(part: StreamPart): void {
    this.#buffer.push(part);
    this.#characters += partCharacters;
    if (part.type === 'prompt-end' || part.type === 'text-start') return;
    if (this.firstTokenAtMs === undefined) {
      this.firstTokenAtMs = this.#parts.now();
      this.#open.resolve();
    }
    if (part.type === 'text-delta') this.#characters += part.text.length + (part.logprobs?.length ?? 0) * logprobCharacters;
    else if (part.type === 'reasoning-delta') this.#characters += part.text.length;
    else if (part.type === 'wire-delta') this.#characters += JSON.stringify(part).length;
    else if (part.type === 'text-end') this.completionTokens += part.completionTokens;
  }

  *#drain(): Generator<StreamPart> {
    for (const part of this.#buffer.splice(0)) yield this.#shown(part);
  }

  #shown(part: StreamPart): StreamPart {
    if (part.type !== 'text-delta' || !part.logprobs || !this.#parts.hidesLogprobs) return part;
    const { logprobs: _logprobs, ...shown } = part;
    return shown;
  }

  #end(): void {
    this.#isComplete = true;
    this.#parts.request.signal.removeEventListener('abort', this.#onAbort);
  }
}

/** Of a request for other servers' models, whose body nobody here has read that far. */
function formatIn(wire: unknown): ResponseFormat | undefined {
  const { type, json_schema: named } = (wire ?? {}) as {
    readonly type?: unknown;
    readonly json_schema?: { readonly schema?: unknown } | null;
  };
  if (type === 'json_object') return { type };
  return type === 'json_schema' ? { type, schema: named?.schema } : undefined;
}

/** A stage that refuses before it is read, and one that refuses when it is, refuse alike. */
function start(next: Next, request: GatewayRequest): AsyncIterator<StreamPart> {
  try {
    return next(request)[Symbol.asyncIterator]();
  } catch (thrown) {
    return { next: () => Promise.reject(toAutoglmError(thrown)) };
  }
}
