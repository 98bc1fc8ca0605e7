import type { AutoglmError, GatewayRequest } from '@open-autoglm/protocol';
import type { CatalogModel } from '../common/model-catalog.ts';
import { Roster, type Listed } from '../common/roster.ts';
import type { BalancePolicy, Choice } from './balance/index.ts';
import type { Outcome } from '../common/breaker.ts';
import { Budget, retriesAtOnceMax } from './budget.ts';
import { candidatesOf, refusalOf } from './candidates.ts';
import { inputKindOf } from './devices/input-kind.ts';
import { outcomeOf } from './failure-outcome.ts';
import { hashText } from './hash.ts';
import { formOf, type AnswerForm } from './latency.ts';
import { LoneFailures } from './lone-failures.ts';
import { membersOf, type Member, type MemberSettings } from './member.ts';
import { piecesOf } from './prefix-index.ts';
import { RecentQuantile } from './recent-quantile.ts';
import { SharedFailures } from './shared-failures.ts';
import { isSlow, isSlowSample } from './slowness.ts';

/** A request at a replica, as far as it concerns the others. */
export interface Attempt extends Listed {
  readonly member: Member;
  /** Nothing is to be hoped for from its replica. */
  giveUp(): void;
}

export interface ReplicaSetSettings extends MemberSettings {
  /** Replicas that one request may be sent to, one after the other. */
  readonly triesMax: number;
  /** A replica that takes so many times as long to its first part as its fellows is left alone; 0: none is. */
  readonly slowFactor: number;
  /** Where every one of several replicas is ejected, those whose probe is answered are chosen all the same. */
  readonly panics: boolean;
  readonly retries: { readonly ratio: number; readonly perSecond: number };
  readonly hedging: { readonly enabled: boolean; readonly quantile: number; readonly ratio: number; readonly delayMsMin: number };
}

const hedgesAtOnceMax = 10;

/** The replicas of one model: who may be chosen, who is, and how it went. */
export class ReplicaSet {
  readonly settings: ReplicaSetSettings;
  readonly retries: Budget;
  readonly hedges: Budget;
  readonly now: () => number;
  readonly #model: string;
  readonly #members: readonly Member[];
  readonly #policy: BalancePolicy;
  readonly #random: () => number;
  /** Whether any of them is on a device that reports. */
  readonly #hasDevices: boolean;
  /** Time to the first part: of streams, and of whole answers, which is all of their time. */
  readonly #firstParts: Readonly<Record<AnswerForm, RecentQuantile>>;
  readonly #failures = new SharedFailures();
  /** Of a lone replica; among several, another answers, and all of them ejected are asked all the same. */
  readonly #loneFailures: LoneFailures | undefined;
  /** Tries that have no first part yet. */
  readonly #waiting = new Roster<Attempt>();
  /** The start tag of the last request. Who comes back goes on from here, and not with all the turns that it missed. */
  #virtualTime = 0;

  constructor(
    model: CatalogModel,
    policy: BalancePolicy,
    settings: ReplicaSetSettings,
    { now, random }: { readonly now: () => number; readonly random: () => number },
  ) {
    this.settings = settings;
    this.now = now;
    this.#random = random;
    this.#model = model.name;
    this.#members = membersOf(model, settings);
    this.#loneFailures = this.#members.length === 1 ? new LoneFailures() : undefined;
    this.#policy = policy;
    this.#hasDevices = this.#members.some(({ target }) => target.device !== undefined);
    this.retries = new Budget({ ...settings.retries, max: retriesAtOnceMax });
    this.hedges = new Budget({ ratio: settings.hedging.ratio, perSecond: 0, max: hedgesAtOnceMax });
    this.#firstParts = { stream: new RecentQuantile(settings.hedging.quantile), whole: new RecentQuantile(settings.hedging.quantile) };
    for (const member of this.#members) {
      const { replica } = member.target;
      if (replica.takes === 'requests') replica.watchProbes((news) => news === 'silent' && this.#leave(member));
    }
  }

  /** Takes a place at a replica; each must be given back by `end`. Undefined when all that may be chosen have been tried. */
  begin(request: GatewayRequest, tried: readonly Member[]): Member | undefined {
    const now = this.now();
    const candidates = this.#candidates(request, tried, now);
    if (candidates.length === 0) return undefined;
    const form = formOf(request);
    for (const candidate of candidates) candidate.show(now, this.#virtualTime, form);
    const pieces = this.#policy.usesPrefix ? piecesOf(request) : undefined;
    if (pieces) for (const candidate of candidates) candidate.prefixMatch = candidate.prefixes.match(pieces);
    if (this.#policy.usesDevices) for (const candidate of candidates) candidate.showDevice(inputKindOf(request));
    const chosen = candidates[candidates.length === 1 ? 0 : this.#policy.choose(candidates, this.#choiceOf(request))] as Member;
    if (pieces) chosen.prefixes.remember(pieces);
    this.#virtualTime = chosen.pass;
    chosen.begin(now);
    return chosen;
  }

  /** Whether `begin` would find one. */
  hasOther(request: GatewayRequest, tried: readonly Member[]): boolean {
    return this.#candidates(request, tried, this.now()).length > 0;
  }

  /** Whether the budget has it that a request which failed so is sent to another one. */
  mayRetry(error: AutoglmError): boolean {
    // Where no connection was made, nobody has done any work.
    return outcomeOf(error) === 'unreachable' || this.#failures.isPaid(error, () => this.retries.withdraw(this.now()));
  }

  wait(attempt: Attempt): void {
    this.#waiting.add(attempt);
  }

  /** The first part of a try is here. */
  onFirstPart(attempt: Attempt, request: GatewayRequest, sinceMs: number): void {
    const form = formOf(request);
    this.#waiting.delete(attempt);
    this.#loneFailures?.note(request.tenant);
    if (this.settings.hedging.enabled) this.#firstParts[form].add(sinceMs);
    const isSlowHere = this.#learnLatency(attempt.member, form, sinceMs);
    attempt.member.learn(isSlowHere ? 'slow' : 'begun', this.now());
  }

  /** A rival's first part was here before this one's. */
  onLoss(attempt: Attempt, request: GatewayRequest, sinceMs: number): void {
    this.onEnd(attempt, this.#learnLatency(attempt.member, formOf(request), sinceMs) ? 'slow' : 'abandoned');
  }

  onEnd(attempt: Attempt, outcome: Outcome): void {
    this.#waiting.delete(attempt);
    if (outcome === 'answered') this.#loneFailures?.forget();
    attempt.member.learn(outcome, this.now());
    attempt.member.end();
  }

  onFailure(attempt: Attempt, request: GatewayRequest, error: AutoglmError): void {
    if (error.code === 'rate_limit_exceeded') attempt.member.rest(error.retryAfterSeconds ?? 1, this.now());
    const outcome = this.#failures.isNews(error) ? outcomeOf(error) : 'abandoned';
    const isRepeated = outcome === 'failed' && this.#loneFailures?.isNews(error, request) === false;
    this.onEnd(attempt, isRepeated ? 'abandoned' : outcome);
  }

  /** How long a try may be silent before another one begins beside it; undefined: none does. */
  hedgeDelayMs(request: GatewayRequest): number | undefined {
    const { enabled, delayMsMin } = this.settings.hedging;
    const quantile = enabled ? this.#firstParts[formOf(request)].value : undefined;
    return quantile === undefined ? undefined : Math.max(delayMsMin, quantile);
  }

  /** Why nobody could be chosen, before any was tried. */
  refusal(): AutoglmError {
    return refusalOf(this.#model, this.#members, this.now());
  }

  #candidates(request: GatewayRequest, tried: readonly Member[], now: number): Member[] {
    return candidatesOf(this.#members, this.#suits(request, tried), now, this.settings.panics);
  }

  /** Who could take this request at all, and was not asked yet. */
  #suits(request: GatewayRequest, tried: readonly Member[]): (member: Member) => boolean {
    // A request without prompts: the engine that reads them could not answer when they were to be made.
    const { prompts } = request;
    const kind = this.#hasDevices ? inputKindOf(request) : undefined;
    return (member) =>
      !tried.includes(member) &&
      (kind === undefined || member.isPlaced(kind)) &&
      (prompts !== undefined || member.target.replica.takes === 'requests');
  }

  /** Learns it, and tells whether the replica is too slow to go on with. */
  #learnLatency(member: Member, form: AnswerForm, sinceMs: number): boolean {
    const isTriedAgain = member.breaker.state === 'probing';
    member.learnLatency(form, sinceMs, this.now());
    if (this.#members.length === 1) return false;
    const fellows = this.#members
      .filter((other) => other !== member && other.breaker.state === 'closed')
      .map(({ latencies }) => latencies[form]);
    // Half of the replicas must stay, however slow they are: with fewer, slowness is a sign of load.
    if (fellows.length * 2 < this.#members.length) return false;
    const { slowFactor } = this.settings;
    return isTriedAgain ? isSlowSample(sinceMs, fellows, slowFactor) : isSlow(member.latencies[form], fellows, slowFactor);
  }

  #choiceOf({ client }: GatewayRequest): Choice {
    const key = this.#policy.keyedBy && client?.[this.#policy.keyedBy];
    return { key: key === undefined ? undefined : hashText(key), random: this.#random };
  }

  /** Nothing is heard of it any more: who waits for it is better served elsewhere, if there is somebody. */
  #leave(member: Member): void {
    for (const attempt of this.#waiting) {
      const now = this.now();
      const isElsewhere = this.#members.some((other) => other !== member && other.mayTake(now) && other.isWell(now));
      if (attempt.member === member && isElsewhere) attempt.giveUp();
    }
  }
}
