import { AutoglmError, toAutoglmError, type EngineStatus } from '@open-autoglm/protocol';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type BreakerSettings, type Outcome } from '../common/breaker.ts';
import { Budget } from './budget.ts';
import { outcomeOf } from './replica-set.ts';
import type { RouterOptions } from './router-stage.ts';

/** The router's options, as far as they concern calls that answer at once. */
export type TurnSettings = BreakerSettings & Pick<RouterOptions, 'triesMax' | 'retries' | 'panics' | 'now'>;

/** Who may be asked. */
export interface TurnTarget {
  readonly engine: { readonly status: EngineStatus };
}

/** A model, and who answers for it. */
export interface TurnModel<T> {
  readonly name: string;
  readonly targets: readonly T[];
}

/** At the beginning, and after a quiet time, so many may be asked a second time at once. */
const retriesAtOnceMax = 100;

/**
 * Who of several servers is asked for what is no text: embeddings, classes. Each has a breaker of its own for that, beside the one for its text: a server may
 * fail at the one and not at the other.
 */
export class TargetsInTurn<T extends TurnTarget> {
  readonly #routing: TurnSettings;
  readonly #retries: Budget;
  readonly #breakers = new WeakMap<T, Breaker>();
  #turn = 0;

  constructor(routing: TurnSettings) {
    this.#routing = routing;
    this.#retries = new Budget({ ...routing.retries, max: retriesAtOnceMax });
  }

  async ask<Answer>(model: TurnModel<T>, signal: AbortSignal, ask: (target: T) => Promise<Answer>): Promise<Answer> {
    const { now, triesMax } = this.#routing;
    this.#retries.deposit();
    const targets = this.#inTurn(model).slice(0, triesMax);
    let failure: AutoglmError | undefined;
    for (const target of targets) {
      if (failure && !this.#mayRetry(failure)) break;
      this.#breakers.set(target, beginTry(this.#breakerOf(target), now(), this.#routing));
      try {
        const answer = await ask(target);
        this.#learn(target, 'answered');
        return answer;
      } catch (thrown) {
        failure = toAutoglmError(thrown);
        this.#learn(target, signal.aborted ? 'abandoned' : outcomeOf(failure));
        if (signal.aborted) break;
      }
    }
    throw failure ?? this.#refusal(model);
  }

  /** Those that are ready first, and of these each at its turn; none that is ejected, unless all are that still answer. */
  #inTurn({ targets }: TurnModel<T>): T[] {
    const now = this.#routing.now();
    this.#turn += 1;
    const rotated = targets.map((_, index) => targets[(index + this.#turn) % targets.length] as T);
    const isReady = ({ engine }: T) => engine.status.state === 'ready';
    const possible = rotated.filter((target) => mayTry(this.#breakerOf(target), now));
    if (possible.length === 0 && this.#routing.panics && targets.length > 1) return rotated.filter(isReady);
    return possible.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
  }

  #mayRetry(error: AutoglmError): boolean {
    // Where nothing was begun, nobody has done any work.
    const isUntouched = outcomeOf(error) === 'unreachable' || error.code === 'engine_unavailable';
    return error.retryable && (isUntouched || this.#retries.withdraw(this.#routing.now()));
  }

  #breakerOf(target: T): Breaker {
    return this.#breakers.get(target) ?? closedBreaker;
  }

  #learn(target: T, outcome: Outcome): void {
    this.#breakers.set(target, learn(this.#breakerOf(target), outcome, this.#routing.now(), this.#routing));
  }

  #refusal({ name, targets }: TurnModel<T>): AutoglmError {
    const now = this.#routing.now();
    const soonestMs = Math.min(...targets.map((target) => this.#breakerOf(target)).map((breaker) => (breaker.state === 'closed' ? now : breaker.untilMs)));
    return new AutoglmError('engine_unavailable', `No engine of the model ${JSON.stringify(name)} can be reached at present.`, { retryAfterSeconds: Math.max(1, Math.ceil((soonestMs - now) / 1000)) });
  }
}
