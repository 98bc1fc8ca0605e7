import { AutoglmError, type ErrorCode, type GatewayRequest } from '@open-autoglm/protocol';
import type { CatalogModel, Target } from '../common/model-catalog.ts';
import type { BalancePolicy, Candidate } from './balance/index.ts';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type Outcome } from './breaker.ts';

/** A replica and what the router remembers of it. */
export class Member implements Candidate {
  readonly target: Target;
  outstanding = 0;
  pass = 0;
  breaker: Breaker = closedBreaker;

  constructor(target: Target) {
    this.target = target;
  }

  get weight(): number {
    return this.target.weight;
  }
}

/** The replicas of one model: who may be chosen, who is, and how it went. */
export class ReplicaSet {
  readonly #model: string;
  readonly #members: readonly Member[];
  readonly #policy: BalancePolicy;
  readonly #now: () => number;
  /** The start tag of the last request. Who comes back goes on from here, and not with all the turns that it missed. */
  #virtualTime = 0;

  constructor(model: CatalogModel, policy: BalancePolicy, now: () => number) {
    this.#model = model.name;
    this.#members = model.targets.map((target) => new Member(target));
    this.#policy = policy;
    this.#now = now;
  }

  /** Takes a place at a replica; each must be given back by `end`. Undefined when all that may be chosen have been tried. */
  begin({ prompts }: GatewayRequest, tried: ReadonlySet<Member>): Member | undefined {
    const now = this.#now();
    const candidates = this.#members.filter((member) => !tried.has(member) && mayTry(member.breaker, now) && member.outstanding < member.target.maxOutstanding
      // The prompts were not made, because the engine that reads them could not answer.
      && (prompts !== undefined || member.target.replica.takes === 'requests'));
    if (candidates.length === 0) return undefined;
    for (const candidate of candidates) candidate.pass = Math.max(candidate.pass, this.#virtualTime);
    const chosen = candidates[this.#policy(candidates)] as Member;
    this.#virtualTime = chosen.pass;
    chosen.pass += 1 / chosen.weight;
    chosen.outstanding += 1;
    chosen.breaker = beginTry(chosen.breaker);
    return chosen;
  }

  /** Something became known of the try; the place is still held. */
  learn(member: Member, outcome: Outcome): void {
    member.breaker = learn(member.breaker, outcome, this.#now());
  }

  end(member: Member): void {
    member.outstanding -= 1;
  }

  /** Why nobody could be chosen, before any was tried. */
  refusal(): AutoglmError {
    const now = this.#now();
    const isFull = this.#members.some(({ breaker }) => mayTry(breaker, now));
    if (isFull) return new AutoglmError('queue_full', `Every engine of the model ${JSON.stringify(this.#model)} has all the requests that it takes.`, { retryAfterSeconds: 1 });
    const soonestMs = Math.min(...this.#members.map(({ breaker }) => (breaker.state === 'open' ? breaker.untilMs : now)));
    return new AutoglmError('engine_unavailable', `No engine of the model ${JSON.stringify(this.#model)} can be reached at present.`, {
      retryAfterSeconds: Math.max(1, Math.ceil((soonestMs - now) / 1000)),
    });
  }
}

/** Failures of the replica; whatever else it says is an answer. */
const outcomes: Partial<Record<ErrorCode, Outcome>> = {
  upstream_unreachable: 'unreachable',
  upstream_connect_timeout: 'unreachable',
  upstream_error: 'failed',
  upstream_timeout: 'failed',
  engine_crashed: 'failed',
  engine_failed: 'failed',
  engine_unavailable: 'failed',
  internal_error: 'failed',
};

export function outcomeOf({ code }: AutoglmError): Outcome {
  return outcomes[code] ?? 'answered';
}
