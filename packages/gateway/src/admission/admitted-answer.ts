import { toAutoglmError, type GatewayEvent, type Next, type PartsIterator, type StreamPart } from '@open-autoglm/protocol';
import type { AdmissionQueue } from './queue.ts';
import type { Ticket } from './ticket.ts';

/** What an answer was like, for those who predict the next ones. */
export interface AnswerFacts {
  readonly promptTokens: number | undefined;
  /** Of all choices together. */
  readonly outputTokens: number;
  readonly choiceCount: number;
}

/**
 * One request's answer: it waits for its turn, goes on down the path, and gives its place back at its end, whatever that is. What
 * passes is looked at, not changed.
 */
export class AdmittedAnswer implements AsyncIterableIterator<StreamPart>, PartsIterator {
  readonly #queue: AdmissionQueue;
  readonly #ticket: Ticket;
  readonly #next: Next;
  readonly #onAnswer: (ticket: Ticket, facts: AnswerFacts) => void;
  #parts: PartsIterator | undefined;
  /** Who answers, where there are several. */
  #engine: string | undefined;
  #firstAtMs: number | undefined;
  #promptTokens: number | undefined;
  #outputTokens = 0;
  #choiceCount = 0;
  #isOver = false;

  constructor(queue: AdmissionQueue, ticket: Ticket, next: Next, onAnswer: (ticket: Ticket, facts: AnswerFacts) => void) {
    this.#queue = queue;
    this.#ticket = ticket;
    this.#next = next;
    this.#onAnswer = onAnswer;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    if (this.#parts) return this.#parts.next().then(this.#onResult, this.#onFailure);
    return this.#isOver ? Promise.resolve({ value: undefined, done: true }) : this.#begin();
  }

  nextNow(): IteratorResult<StreamPart> | undefined {
    const result = this.#parts?.nextNow?.();
    return result && this.#onResult(result);
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#end();
    await this.#parts?.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #begin(): Promise<IteratorResult<StreamPart>> {
    const turn = this.#queue.enter(this.#ticket);
    if (turn) await this.#wait(turn);
    if (this.#isOver) return { value: undefined, done: true };
    try {
      this.#parts = this.#next(this.#request())[Symbol.asyncIterator]();
      return this.#onResult(await this.#parts.next());
    } catch (thrown) {
      return this.#onFailure(thrown);
    }
  }

  async #wait(turn: Promise<void>): Promise<void> {
    const { request, arrivedAtMs } = this.#ticket;
    const onAbort = () => this.#ticket.turn?.reject(request.signal.reason);
    request.signal.addEventListener('abort', onAbort, { once: true });
    if (request.signal.aborted) onAbort();
    try {
      await turn;
    } catch (thrown) {
      this.#end();
      throw thrown;
    } finally {
      request.signal.removeEventListener('abort', onAbort);
      request.emit({ type: 'segment-end', segment: 'queue', durationMs: this.#queue.now() - arrivedAtMs, reason: this.#ticket.waitsFor });
    }
  }

  /** With what an engine of ours orders its own queue by. */
  #request() {
    const { request } = this.#ticket;
    const { countsSequences, wantsNames } = this.#queue.pool;
    if (!countsSequences && !wantsNames) return request;
    return { ...request, standing: this.#queue.standingOf(this.#ticket), ...(wantsNames && { emit: this.#emit }) };
  }

  readonly #emit = (event: GatewayEvent) => {
    if (event.type === 'engine-chosen') this.#engine = event.engine;
    this.#ticket.request.emit(event);
  };

  readonly #onResult = (result: IteratorResult<StreamPart>): IteratorResult<StreamPart> => {
    if (result.done) {
      if (!this.#isOver && this.#firstAtMs !== undefined) this.#learn(this.#queue.now());
      this.#end();
    } else {
      this.#look(result.value);
    }
    return result;
  };

  readonly #onFailure = (thrown: unknown): never => {
    if (!this.#isOver && toAutoglmError(thrown).code === 'rate_limit_exceeded') this.#queue.pool.onRefusal(this.#engine);
    this.#end();
    throw thrown;
  };

  #look(part: StreamPart): void {
    switch (part.type) {
      case 'prompt-end':
        this.#promptTokens ??= part.promptTokens;
        break;
      case 'text-delta':
        if (this.#queue.isFair) this.#queue.tenants.chargeOutput(this.#ticket.tenant, part.tokenCount);
        break;
      case 'text-end':
        this.#outputTokens += part.completionTokens;
        this.#choiceCount += 1;
        break;
      case 'usage':
        if (part.source === 'engine') this.#promptTokens = part.promptTokens;
        break;
      default:
    }
    if (this.#firstAtMs === undefined) this.#onFirst(this.#queue.now());
  }

  #onFirst(atMs: number): void {
    const { request, sentAtMs = 0, runningCount } = this.#ticket;
    this.#firstAtMs = atMs;
    this.#queue.onFirstPart(this.#ticket);
    this.#queue.pool.onFirstPart(this.#engine, { form: request.stream ? 'stream' : 'whole', milliseconds: atMs - sentAtMs, runningCount });
  }

  #learn(atMs: number): void {
    const { sentAtMs = 0 } = this.#ticket;
    const firstAtMs = this.#firstAtMs as number;
    // Another server's whole answer comes at once: which part of its time was the prompt's, nobody knows.
    const isTold = this.#ticket.request.stream || this.#queue.pool.countsSequences;
    this.#queue.work.add({
      firstMs: firstAtMs - sentAtMs,
      restMs: atMs - firstAtMs,
      promptTokens: isTold ? (this.#promptTokens ?? this.#ticket.promptTokens) : 0,
      outputTokens: isTold ? this.#outputTokens / Math.max(1, this.#choiceCount) : 0,
    });
    this.#onAnswer(this.#ticket, { promptTokens: this.#promptTokens, outputTokens: this.#outputTokens, choiceCount: this.#choiceCount });
  }

  /** Idempotent. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#ticket.order > 0) this.#queue.leave(this.#ticket);
  }
}
