import { toAutoglmError, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { outcomeOf, type Member, type ReplicaSet } from './replica-set.ts';

/**
 * One request's answer from one of several replicas. A replica that fails before its first part is passed over for another,
 * `triesMax` in all; after the first part its failure is the answer's.
 */
export class RoutedAnswer implements AsyncIterableIterator<StreamPart> {
  readonly #replicas: ReplicaSet;
  readonly #request: GatewayRequest;
  readonly #triesMax: number;
  readonly #tried = new Set<Member>();
  #member: Member | undefined;
  #parts: AsyncIterator<StreamPart> | undefined;
  #hasBegun = false;
  #lastError: unknown;

  constructor(replicas: ReplicaSet, request: GatewayRequest, triesMax: number) {
    this.#replicas = replicas;
    this.#request = request;
    this.#triesMax = triesMax;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    if (!this.#hasBegun) return this.#begin();
    if (!this.#parts) return Promise.resolve({ value: undefined, done: true });
    return this.#parts.next().then(this.#onResult, this.#onFailure);
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    const parts = this.#parts;
    if (this.#member && !this.#hasBegun) this.#replicas.learn(this.#member, 'abandoned');
    this.#release();
    this.#hasBegun = true;
    await parts?.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #begin(): Promise<IteratorResult<StreamPart>> {
    let reason = 'its turn';
    for (;;) {
      const member = this.#take(reason);
      try {
        const result = await (this.#parts as AsyncIterator<StreamPart>).next();
        this.#hasBegun = true;
        this.#replicas.learn(member, 'begun');
        return this.#onResult(result);
      } catch (thrown) {
        const error = toAutoglmError(thrown);
        const hasLeft = this.#request.signal.aborted;
        this.#replicas.learn(member, hasLeft ? 'abandoned' : outcomeOf(error));
        this.#release();
        // `return` may have been called in the meantime.
        if (hasLeft || this.#hasBegun || !error.retryable || this.#tried.size >= this.#triesMax) throw error;
        reason = `${error.code} at ${member.target.replica.name}`;
        this.#lastError = error;
      }
    }
  }

  #take(reason: string): Member {
    const member = this.#replicas.begin(this.#request, this.#tried);
    if (!member) throw this.#lastError ?? this.#replicas.refusal();
    this.#tried.add(member);
    this.#member = member;
    const { replica, tier } = member.target;
    this.#request.emit({ type: 'engine-chosen', engine: replica.name, tier, reason });
    this.#parts = replica.answer(this.#request)[Symbol.asyncIterator]();
    return member;
  }

  readonly #onResult = (result: IteratorResult<StreamPart>) => {
    if (result.done) {
      if (this.#member) this.#replicas.learn(this.#member, 'answered');
      this.#release();
    }
    return result;
  };

  readonly #onFailure = (thrown: unknown): never => {
    if (this.#member && !this.#request.signal.aborted) this.#replicas.learn(this.#member, outcomeOf(toAutoglmError(thrown)));
    this.#release();
    throw thrown;
  };

  /** Gives the place back, once. */
  #release(): void {
    if (this.#member) this.#replicas.end(this.#member);
    this.#member = undefined;
    this.#parts = undefined;
  }
}
