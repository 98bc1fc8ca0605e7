import type { AutoglmError, GatewayRequest, PartsIterator, StreamPart } from '@open-autoglm/protocol';
import type { Member } from './member.ts';
import type { ReplicaSet } from './replica-set.ts';
import { Try, type Opening } from './try.ts';

/**
 * One request's answer from one of several replicas. A replica that fails before its first part is passed over for another,
 * within the bounds; one that is silent for long may get a rival, and who speaks first answers. After the first part a
 * failure is the answer's.
 */
export class RoutedAnswer implements AsyncIterableIterator<StreamPart>, PartsIterator {
  readonly #replicas: ReplicaSet;
  readonly #request: GatewayRequest;
  /** As many as there may be tries: few. */
  readonly #tried: Member[] = [];
  /** Those whose first part is waited for. */
  #open: Try[] = [];
  /** The first of those whose time is not told yet. */
  #untold: Try | undefined;
  #answer: Try | undefined;
  #stated: Member | undefined;
  #isLeft = false;

  constructor(replicas: ReplicaSet, request: GatewayRequest) {
    this.#replicas = replicas;
    this.#request = request;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    if (this.#isLeft) return Promise.resolve({ value: undefined, done: true });
    return this.#answer ? this.#answer.next() : this.#begin();
  }

  nextNow(): IteratorResult<StreamPart> | undefined {
    return this.#isLeft ? undefined : this.#answer?.nextNow();
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#isLeft = true;
    await Promise.all([...this.#open, ...(this.#answer ? [this.#answer] : [])].map((attempt) => attempt.leave()));
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #begin(): Promise<IteratorResult<StreamPart>> {
    this.#replicas.retries.deposit();
    this.#replicas.hedges.deposit();
    let reason = 'its turn';
    let failure: AutoglmError | undefined;
    for (;;) {
      const attempt = this.#open.length === 0 ? this.#try(reason) : undefined;
      if (!attempt && this.#open.length === 0) throw failure ?? this.#replicas.refusal();
      const opening = await this.#nextOpening();
      this.#open = this.#open.filter((other) => other !== opening.by);
      if ('result' in opening) return this.#settle(opening);
      const { error, by } = opening;
      // Beside another one that is still waited for, its time would count twice.
      if (this.#open.length === 0) this.#tell(by);
      if (this.#open.length === 0 && !this.#mayRetry(error)) throw error;
      failure = error;
      reason = `${error.code} at ${by.member.target.replica.name}`;
    }
  }

  /** The next try that begins or fails; a rival may join on the way. */
  #nextOpening(): Promise<Opening> {
    const delayMs = this.#open.length === 1 && this.#tried.length === 1 ? this.#replicas.hedgeDelayMs(this.#request) : undefined;
    return delayMs === undefined ? this.#firstOpening() : this.#openingOrRival(delayMs);
  }

  #firstOpening(): Promise<Opening> {
    return this.#open.length === 1 ? (this.#open[0] as Try).opening : Promise.race(this.#open.map(({ opening }) => opening));
  }

  async #openingOrRival(delayMs: number): Promise<Opening> {
    const silence = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => silence.resolve(undefined), delayMs);
    const opening = await Promise.race([this.#firstOpening(), silence.promise]);
    clearTimeout(timer);
    if (opening) return opening;
    if (this.#mayHedge()) this.#try(`silence of ${Math.round(delayMs)} ms`);
    return this.#firstOpening();
  }

  /** Undefined when there is nobody left to try. */
  #try(reason: string): Try | undefined {
    const member = this.#replicas.begin(this.#request, this.#tried);
    if (!member) return undefined;
    this.#tried.push(member);
    const attempt = new Try(this.#replicas, member, this.#request, this.#replicas.settings.hedging.enabled);
    this.#state(member, reason);
    this.#open.push(attempt);
    this.#untold ??= attempt;
    return attempt;
  }

  /** What a try's replica says of it, and how long another one was waited for before that was asked. */
  #tell(by: Try): void {
    const { member, startedAtMs } = this.#untold as Try;
    const segment = member.target.replica.takes === 'requests' ? 'upstream' : 'prefill';
    if (by !== this.#untold)
      this.#request.emit({ type: 'segment-end', segment, durationMs: by.startedAtMs - startedAtMs, reason: 'silent' });
    this.#untold = undefined;
    by.tell();
  }

  #settle({ by, result }: Opening & { readonly result: IteratorResult<StreamPart> }): IteratorResult<StreamPart> {
    this.#answer = by;
    if (this.#stated !== by.member) this.#state(by.member, 'it answered first');
    this.#tell(by);
    for (const loser of this.#open) loser.lose();
    this.#open = [];
    return result;
  }

  /** The last one told is the one that answers. */
  #state(member: Member, reason: string): void {
    const { replica, tier } = member.target;
    this.#stated = member;
    this.#request.emit({ type: 'engine-chosen', engine: replica.name, tier, reason });
  }

  #mayHedge(): boolean {
    if (this.#isLeft || this.#request.signal.aborted) return false;
    return this.#replicas.hasOther(this.#request, this.#tried) && this.#replicas.hedges.withdraw(this.#replicas.now());
  }

  #mayRetry(error: AutoglmError): boolean {
    if (this.#isLeft || this.#request.signal.aborted || !error.retryable || this.#tried.length >= this.#replicas.settings.triesMax)
      return false;
    if (!this.#replicas.hasOther(this.#request, this.#tried)) return false;
    return this.#replicas.mayRetry(error);
  }
}
