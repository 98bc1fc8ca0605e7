import {
  AutoglmError,
  toAutoglmError,
  type EmitEvent,
  type GatewayEvent,
  type GatewayRequest,
  type PartsIterator,
  type StreamPart,
} from '@open-autoglm/protocol';
import type { Member } from './member.ts';
import type { Attempt, ReplicaSet } from './replica-set.ts';

/** How a try began: with a first part (or an end without any), or not at all. */
export type Opening =
  | { readonly by: Try; readonly result: IteratorResult<StreamPart> }
  | { readonly by: Try; readonly error: AutoglmError };

/** One request at one replica. It holds a place there until it has ended, failed, or was left. */
export class Try implements Attempt {
  readonly member: Member;
  /** On the replicas' clock. */
  readonly startedAtMs: number;
  place = -1;
  /** Never rejects. */
  readonly opening: Promise<Opening>;
  readonly #replicas: ReplicaSet;
  readonly #request: GatewayRequest;
  readonly #parts: PartsIterator;
  /** What its replica says of the request while it is not known whether this try's answer will be the answer. */
  #held: GatewayEvent[] | undefined;
  #isOver = false;
  #open!: (opening: Opening) => void;

  /** Sends the request. `isRival`: beside another one. */
  constructor(replicas: ReplicaSet, member: Member, request: GatewayRequest, isRival: boolean) {
    this.member = member;
    this.#replicas = replicas;
    this.#request = request;
    this.#held = isRival ? [] : undefined;
    this.startedAtMs = replicas.now();
    this.opening = new Promise((resolve) => (this.#open = resolve));
    replicas.wait(this);
    this.#parts = start(member, isRival ? { ...request, emit: this.#emit } : request);
    this.#parts.next().then(
      (result) => this.#onFirst(result),
      (thrown: unknown) => this.#onNone(toAutoglmError(thrown)),
    );
  }

  next(): Promise<IteratorResult<StreamPart>> {
    return this.#isOver ? Promise.resolve({ value: undefined, done: true }) : this.#parts.next().then(this.#onResult, this.#onFailure);
  }

  nextNow(): IteratorResult<StreamPart> | undefined {
    const result = this.#isOver ? undefined : this.#parts.nextNow?.();
    return result && this.#onResult(result);
  }

  /** What its replica said of the request counts: its answer is the answer, or it failed with nobody beside it. */
  tell(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const event of held) this.#request.emit(event);
  }

  /** Nobody waits for it any more. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#replicas.onEnd(this, 'abandoned');
    await this.#parts.return?.();
  }

  /** A rival has answered. That this one had not says how slow it is, at least. */
  lose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#held = [];
    this.#replicas.onLoss(this, this.#request, this.#replicas.now() - this.startedAtMs);
    // A loser that fails while it ends has nobody left to tell.
    this.#parts.return?.().catch(() => {});
  }

  giveUp(): void {
    const { name } = this.member.target.replica;
    this.#onNone(
      new AutoglmError('upstream_timeout', `The engine ${name} had not begun to answer when it stopped answering its health probe.`),
    );
    this.#parts.return?.().catch(() => {});
  }

  readonly #emit: EmitEvent = (event) => {
    if (this.#held) this.#held.push(event);
    else this.#request.emit(event);
  };

  #onFirst(result: IteratorResult<StreamPart>): void {
    if (this.#isOver) return;
    this.#replicas.onFirstPart(this, this.#request, this.#replicas.now() - this.startedAtMs);
    this.#onResult(result);
    this.#open({ by: this, result });
  }

  #onNone(error: AutoglmError): void {
    if (this.#isOver) return;
    this.#fail(error);
    this.#open({ by: this, error });
  }

  readonly #onResult = (result: IteratorResult<StreamPart>) => {
    if (result.done && !this.#isOver) {
      this.#isOver = true;
      this.#replicas.onEnd(this, 'answered');
    }
    return result;
  };

  readonly #onFailure = (thrown: unknown): never => {
    if (!this.#isOver) this.#fail(toAutoglmError(thrown));
    throw thrown;
  };

  #fail(error: AutoglmError): void {
    this.#isOver = true;
    if (this.#request.signal.aborted) this.#replicas.onEnd(this, 'abandoned');
    else this.#replicas.onFailure(this, this.#request, error);
  }
}

/** An engine that refuses before it is read, and one that refuses when it is, refuse alike. */
function start({ target: { replica } }: Member, request: GatewayRequest): PartsIterator {
  try {
    return replica.answer(request)[Symbol.asyncIterator]();
  } catch (thrown) {
    return { next: () => Promise.reject(toAutoglmError(thrown)) };
  }
}
