import { toAutoglmError, type AutoglmError, type TextsRequest } from '@open-autoglm/protocol';
import type { Target } from '../common/model-catalog.ts';
import { roundRobin } from './balance/round-robin.ts';
import { Budget, retriesAtOnceMax } from './budget.ts';
import { candidatesOf, refusalOf } from './candidates.ts';
import { outcomeOf } from './failure-outcome.ts';
import { LoneFailures } from './lone-failures.ts';
import { Member, type MemberSettings } from './member.ts';
import type { RouterOptions } from './router-stage.ts';
import { SharedFailures } from './shared-failures.ts';

/** The router's options, as far as they concern calls that answer at once. */
export type TurnSettings = MemberSettings & Pick<RouterOptions, 'triesMax' | 'retries' | 'panics' | 'now' | 'random'>;

/** Who may be asked. */
export interface TurnTarget {
  /** Its server, as it is known to the router: its weight, its bound, its device. */
  readonly target: Target;
}

/** What is asked. */
export interface TurnCall {
  readonly signal: AbortSignal;
  /** Absent: nobody's. */
  readonly tenant?: string | undefined;
  readonly request: Pick<TextsRequest, 'inputs'>;
}

/** A model, and who answers for it. */
export interface TurnModel<T> {
  readonly name: string;
  readonly targets: readonly T[];
}

/**
 * Who of several servers is asked for what is no text: embeddings, classes. Each is a member of its own for that, beside the one for
 * its text: a server may fail at the one and not at the other, and its bound is each one's.
 */
export class TargetsInTurn<T extends TurnTarget> {
  readonly #routing: TurnSettings;
  readonly #turns = new WeakMap<TurnModel<T>, Turns<T>>();

  constructor(routing: TurnSettings) {
    this.#routing = routing;
  }

  ask<Answer>(model: TurnModel<T>, call: TurnCall, ask: (target: T) => Promise<Answer>): Promise<Answer> {
    const turns = this.#turns.get(model) ?? new Turns(model, this.#routing);
    this.#turns.set(model, turns);
    return turns.ask(call, ask);
  }
}

/** The turns of one model's servers, as often as their weights say. */
class Turns<T extends TurnTarget> {
  readonly #model: string;
  readonly #routing: TurnSettings;
  readonly #retries: Budget;
  readonly #failures = new SharedFailures();
  /** As a `ReplicaSet`'s. */
  readonly #loneFailures: LoneFailures | undefined;
  readonly #targets: ReadonlyMap<Member, T>;
  readonly #members: readonly Member[];
  /** As a `ReplicaSet`'s. */
  #virtualTime = 0;

  constructor({ name, targets }: TurnModel<T>, routing: TurnSettings) {
    this.#model = name;
    this.#routing = routing;
    this.#retries = new Budget({ ...routing.retries, max: retriesAtOnceMax });
    this.#targets = new Map(targets.map((target) => [new Member(target.target, routing), target]));
    this.#members = [...this.#targets.keys()];
    this.#loneFailures = this.#members.length === 1 ? new LoneFailures() : undefined;
  }

  async ask<Answer>(call: TurnCall, ask: (target: T) => Promise<Answer>): Promise<Answer> {
    const { signal } = call;
    signal.throwIfAborted();
    const { now, triesMax } = this.#routing;
    this.#retries.deposit();
    const tried: Member[] = [];
    let failure: AutoglmError | undefined;
    while (tried.length < triesMax && !signal.aborted) {
      const candidates = this.#candidates(tried);
      if (candidates.length === 0 || (failure && !this.#mayRetry(failure))) break;
      const member = this.#begin(candidates);
      tried.push(member);
      try {
        const answer = await ask(this.#targets.get(member) as T);
        this.#loneFailures?.note(call.tenant ?? '');
        this.#loneFailures?.forget();
        member.learn('answered', now());
        return answer;
      } catch (thrown) {
        failure = toAutoglmError(thrown);
        this.#learnFailure(member, failure, call);
      } finally {
        member.end();
      }
    }
    throw failure ?? refusalOf(this.#model, this.#members, now());
  }

  #candidates(tried: readonly Member[]): Member[] {
    const { now, panics } = this.#routing;
    return candidatesOf(this.#members, (member) => !tried.includes(member) && member.isPlaced('text'), now(), panics);
  }

  #begin(candidates: readonly Member[]): Member {
    const { now, random } = this.#routing;
    const nowMs = now();
    for (const candidate of candidates) candidate.show(nowMs, this.#virtualTime, 'whole');
    const chosen = candidates[roundRobin.choose(candidates, { key: undefined, random })] as Member;
    this.#virtualTime = chosen.pass;
    chosen.begin(nowMs);
    return chosen;
  }

  #learnFailure(member: Member, error: AutoglmError, { signal, tenant = '', request: { inputs } }: TurnCall): void {
    const nowMs = this.#routing.now();
    if (signal.aborted) return member.learn('abandoned', nowMs);
    if (error.code === 'rate_limit_exceeded') member.rest(error.retryAfterSeconds ?? 1, nowMs);
    const outcome = this.#failures.isNews(error) ? outcomeOf(error) : 'abandoned';
    if (outcome === 'answered') this.#loneFailures?.forget();
    const isRepeated = outcome === 'failed' && this.#loneFailures?.isNews(error, { tenant, input: inputs }) === false;
    member.learn(isRepeated ? 'abandoned' : outcome, nowMs);
  }

  #mayRetry(error: AutoglmError): boolean {
    // Where nothing was begun, nobody has done any work.
    const isUntouched = outcomeOf(error) === 'unreachable' || error.code === 'engine_unavailable';
    return error.retryable && (isUntouched || this.#failures.isPaid(error, () => this.#retries.withdraw(this.#routing.now())));
  }
}
