import { status } from '@grpc/grpc-js';
import { AutoglmError } from '@open-autoglm/protocol';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type BreakerSettings } from '../../common/breaker.ts';

/** Told of the first refusal, and of none that follows until a conversation was let in again. */
export type OnRefusal = (level: string, reason: string) => void;

/** Of a network, or of a server that ends what it has begun: the next state may try at once. Whatever else it says it would say again. */
const passing: ReadonlySet<number> = new Set([
  status.OK,
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.UNKNOWN,
]);

const settings: BreakerSettings = { failuresMax: 1, openMsFirst: 1000, openMsMax: 30_000 };

/** Whether the gateway that decides at a level lets conversations of ours in. Where it has refused one, none is begun for a while. */
export class LevelDoor {
  readonly #name: string;
  readonly #onRefusal: OnRefusal;
  readonly #now: () => number;
  #breaker: Breaker = closedBreaker;
  #refusal: AutoglmError | undefined;

  constructor(name: string, onRefusal: OnRefusal, now = () => performance.now()) {
    this.#name = name;
    this.#onRefusal = onRefusal;
    this.#now = now;
  }

  /** A conversation begins. Throws the last refusal while that is to be waited for. */
  enter(): void {
    const nowMs = this.#now();
    if (this.#refusal && !mayTry(this.#breaker, nowMs)) throw this.#refusal;
    this.#breaker = beginTry(this.#breaker, nowMs, settings);
  }

  /** One was let in. */
  entered(): void {
    this.#learn('answered');
    if (this.#breaker.state === 'closed') this.#refusal = undefined;
  }

  /** One has ended by this gRPC status. Gives what is to be said of the state that waits for its decision. */
  lost(code: number, message: string): AutoglmError {
    if (passing.has(code)) {
      this.#learn('abandoned');
      return new AutoglmError('upstream_unreachable', `The level ${this.#name} cannot be reached: ${message}`);
    }
    this.#learn('unreachable');
    // Places are free again when others leave; credentials, names and words stay as they are.
    const refusal = new AutoglmError(
      code === status.RESOURCE_EXHAUSTED ? 'engine_unavailable' : 'engine_failed',
      `The gateway that decides at the level ${this.#name} refuses: ${message}`,
    );
    if (!this.#refusal) this.#onRefusal(this.#name, message);
    return (this.#refusal = refusal);
  }

  #learn(outcome: 'answered' | 'abandoned' | 'unreachable'): void {
    this.#breaker = learn(this.#breaker, outcome, this.#now(), settings);
  }
}
