import type { InputKind } from '../common/device-registry.ts';
import type { CatalogModel, Target } from '../common/model-catalog.ts';
import type { Candidate } from './balance/index.ts';
import { beginTry, closedBreaker, expire, learn, mayTry, type Breaker, type BreakerSettings, type Outcome } from '../common/breaker.ts';
import { hashText } from './hash.ts';
import { learnLatency, peakAt, unknownLatencies, type AnswerForm, type Latency } from './latency.ts';
import { PrefixIndex } from './prefix-index.ts';

/** A replica that comes back begins with this share of its weight. */
const slowStartShareMin = 0.1;
/** An engine whose device nobody named counts as on one that is half idle. */
const unboundScore = 0.5;
/** One that asked for a pause longer than this is asked again after it. */
const restMsMax = 60_000;

export interface MemberSettings extends BreakerSettings {
  /** How long a replica that comes back takes to its whole weight. */
  readonly slowStartMs: number;
}

/** A replica and what the router remembers of it. */
export class Member implements Candidate {
  readonly target: Target;
  readonly id: number;
  readonly prefixes = new PrefixIndex();
  outstanding = 0;
  pass = 0;
  weight: number;
  latencyMs = 0;
  prefixMatch = 0;
  deviceScore = unboundScore;
  latencies: Readonly<Record<AnswerForm, Latency>> = unknownLatencies;
  readonly #settings: MemberSettings;
  #breaker: Breaker = closedBreaker;
  #returnedAtMs = -Infinity;
  #restsUntilMs = -Infinity;

  constructor(target: Target, settings: MemberSettings) {
    this.target = target;
    this.id = hashText(target.replica.name);
    this.weight = target.weight;
    this.#settings = settings;
    const { replica } = target;
    if (replica.takes === 'requests') replica.watchProbes((news) => news === 'back' && (this.#breaker = expire(this.#breaker)));
  }

  get breaker(): Breaker {
    return this.#breaker;
  }

  /** Whether it may be given a request at all. */
  mayTake(nowMs: number): boolean {
    return this.outstanding < this.target.maxOutstanding && mayTry(this.#breaker, nowMs);
  }

  /** Whether it could answer, whatever its last answers were: its probe is answered. */
  isThere(): boolean {
    const { state } = this.target.replica.status;
    return this.outstanding < this.target.maxOutstanding && (state === 'ready' || state === 'starting');
  }

  /** Whether it is a good choice, as long as there are others. */
  isWell(nowMs: number): boolean {
    const { state } = this.target.replica.status;
    // While its probe is silent nobody else waits there who could go elsewhere.
    return (state === 'ready' || state === 'starting') && this.#breaker.state !== 'probing' && nowMs >= this.#restsUntilMs;
  }

  /** Brings up to date what a policy sees for a request whose answer has this form. */
  show(nowMs: number, virtualTime: number, form: AnswerForm): void {
    const { weight } = this.target;
    const sinceMs = nowMs - this.#returnedAtMs;
    this.weight =
      sinceMs >= this.#settings.slowStartMs ? weight : weight * Math.max(slowStartShareMin, sinceMs / this.#settings.slowStartMs);
    this.latencyMs = peakAt(this.latencies[form], nowMs);
    this.pass = Math.max(this.pass, virtualTime);
  }

  /** Whether its device is there, and takes this kind of input. */
  isPlaced(kind: InputKind): boolean {
    return this.target.device?.mayTake(kind) ?? true;
  }

  showDevice(kind: InputKind): void {
    this.deviceScore = this.target.device?.score(kind, this.latencyMs) ?? unboundScore;
  }

  begin(nowMs: number): void {
    this.pass += 1 / this.weight;
    this.outstanding += 1;
    this.#breaker = beginTry(this.#breaker, nowMs, this.#settings);
  }

  end(): void {
    this.outstanding -= 1;
  }

  learn(outcome: Outcome, nowMs: number): void {
    const before = this.#breaker;
    this.#breaker = learn(before, outcome, nowMs, this.#settings);
    if (before === this.#breaker) return;
    if (before.state === 'probing' && this.#breaker.state === 'closed') this.#returnedAtMs = nowMs;
    // What it was before it failed says nothing of how it will come back.
    if (this.#breaker.state === 'open') this.latencies = unknownLatencies;
  }

  learnLatency(form: AnswerForm, sampleMs: number, nowMs: number): void {
    this.latencies = { ...this.latencies, [form]: learnLatency(this.latencies[form], sampleMs, nowMs) };
  }

  /** It said that it wants no more for now. */
  rest(seconds: number, nowMs: number): void {
    this.#restsUntilMs = nowMs + Math.min(restMsMax, seconds * 1000);
  }
}

export function membersOf(model: CatalogModel, settings: MemberSettings): Member[] {
  return model.targets.map((target) => new Member(target, settings));
}
