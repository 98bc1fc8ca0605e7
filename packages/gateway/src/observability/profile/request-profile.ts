import type {
  Bottleneck,
  CacheResult,
  Content,
  GatewayEvent,
  LimitSource,
  RequestOutcome,
  RuleVerdict,
  Segment,
  TraceContext,
} from '@open-autoglm/protocol';
import type { AnswerTimings } from '../../common/exchange.ts';
import type { RequestStart } from '../../common/request-start.ts';
import type { RequestObserver } from '../observer.ts';
import { bottleneckFields } from '../bottleneck/bottleneck-fields.ts';
import { ChoiceProfile } from './choice-profile.ts';
import { addRest, addTime, copyTimes, formatServerTiming, toFields, type SegmentTimes } from './segment-times.ts';

/** Time of the request as a whole, by segment and what it was spent on; a stage may report a hundred waits. */
interface SpentTime {
  readonly segment: Segment;
  readonly reason: string | undefined;
  durationMs: number;
}

/** Whether the profile asks when an event was. */
export function wantsTime({ type }: GatewayEvent): boolean {
  return type === 'first-token' || type === 'request-end';
}

/** Says what has made a request slow so far. */
export interface ProfileReader {
  look(profile: RequestProfile, times: SegmentTimes): Bottleneck | undefined;
}

/**
 * Everything that the events of one request say, collected once for all who want it: the `Server-Timing` header, the
 * stream's last chunk, and after the end metrics and diagnosis. Costs a few stores for each event.
 */
export class RequestProfile implements RequestObserver, AnswerTimings {
  readonly start: RequestStart;
  readonly choices: ChoiceProfile[] = [];
  readonly #spent: SpentTime[] = [];
  model: string | undefined;
  stream = false;
  maxTokens: number | undefined;
  /** For each prompt. */
  choiceCount = 1;
  engine: string | undefined;
  tier: string | undefined;
  cache: CacheResult | undefined;
  notes: Record<string, unknown> | undefined;
  /** Tiers of a cascade that did not answer, and why. */
  passedTiers: { readonly tier: string; readonly reason: string }[] | undefined;
  /** Tokens by which the prompt became shorter, by what did it. */
  tokensSpared: Map<string, number> | undefined;
  /** On the way to the answer, beside it, by model; most requests spend nothing so. */
  spentBefore: Map<string, { promptTokens: number; completionTokens: number }> | undefined;
  /** Undefined: nothing limits it. */
  limit: { readonly result: 'admitted' | 'refused'; readonly source: LimitSource } | undefined;
  /** Those that the request met; most meet none. */
  rules: { readonly rule: string; readonly verdict: RuleVerdict; readonly isWatched: boolean }[] | undefined;
  firstTokenAtMs: number | undefined;
  /** With outcome and status: undefined while the request goes on. */
  endedAtMs: number | undefined;
  outcome: RequestOutcome | undefined;
  status = 0;
  code: string | undefined;
  /** What an unexpected error came from. */
  cause: unknown;
  bottleneck: Bottleneck | undefined;
  content: Content | undefined;
  traceContext: TraceContext | undefined;
  readonly #now: () => number;
  readonly #diagnoser: ProfileReader | undefined;
  /** Of a request that is over: several ask. */
  #finalTimes: SegmentTimes | undefined;

  /** `now` in milliseconds, on the clock of `start.startedAtMs`. Without a diagnoser the answer does not say what made it slow. */
  constructor(start: RequestStart, now: () => number, diagnoser?: ProfileReader) {
    this.start = start;
    this.#now = now;
    this.#diagnoser = diagnoser;
  }

  on(event: GatewayEvent, atMs: number): void {
    switch (event.type) {
      case 'request-parsed':
        this.model = event.model;
        this.stream = event.stream;
        this.maxTokens = event.maxTokens;
        this.choiceCount = event.choiceCount;
        break;
      case 'segment-end':
        if (event.choice === undefined) this.#spend(event.segment, event.reason, event.durationMs);
        else this.#choice(event.choice).on(event);
        break;
      case 'prompt-end':
      case 'choice-end':
        this.#choice(event.choice).on(event);
        break;
      case 'tokens-spent':
        this.#spendBefore(event);
        break;
      case 'cache-lookup':
        this.cache = event.result;
        break;
      case 'limit-decision':
        this.limit = event;
        break;
      case 'answer-note':
        this.notes = { ...this.notes, [event.name]: event.value };
        break;
      case 'prompt-shortened':
        this.tokensSpared ??= new Map();
        this.tokensSpared.set(event.by, Math.max(0, event.tokensBefore - event.tokens));
        break;
      case 'rule-met':
        (this.rules ??= []).push(event);
        break;
      case 'tier-passed':
        (this.passedTiers ??= []).push(event);
        break;
      case 'engine-chosen':
        this.engine = event.engine;
        this.tier = event.tier;
        break;
      case 'first-token':
        this.firstTokenAtMs ??= atMs;
        break;
      case 'bottleneck':
        this.bottleneck = event;
        break;
      case 'content':
        this.content = event;
        break;
      case 'request-end':
        this.endedAtMs = atMs;
        this.outcome = event.outcome;
        this.status = event.status;
        this.code = event.code;
        this.cause = event.cause;
        break;
    }
  }

  /** The choice that took the engine longest. */
  get slowestChoice(): ChoiceProfile | undefined {
    let slowest = this.choices[0];
    for (const choice of this.choices) if (choice.engineMs > (slowest?.engineMs ?? -1)) slowest = choice;
    return slowest;
  }

  /** Up to the end, or as far as it is known at this moment. */
  times(): Readonly<SegmentTimes> {
    if (this.#finalTimes) return this.#finalTimes;
    const times = copyTimes(this.slowestChoice?.times);
    for (const { segment, durationMs } of this.#spent) addTime(times, segment, durationMs);
    addRest(times, (this.endedAtMs ?? this.#now()) - this.start.startedAtMs);
    if (this.endedAtMs !== undefined) this.#finalTimes = times;
    return times;
  }

  /** Of a segment of the request as a whole, what was spent on this. */
  spentOn(segment: Segment, reason: string): number {
    return this.#find(segment, reason)?.durationMs ?? 0;
  }

  /** Whether an engine told of the prompt: no prompt has no tokens. Another server may keep it to itself. */
  get isPromptKnown(): boolean {
    return this.promptTokens > 0;
  }

  /** A prompt counts once, however many choices were made of it. */
  get promptTokens(): number {
    let sum = 0;
    for (let index = 0; index < this.choices.length; index += 1)
      if (index % this.choiceCount === 0) sum += (this.choices[index] as ChoiceProfile).promptTokens;
    return sum;
  }

  get cachedTokens(): number {
    let sum = 0;
    for (let index = 0; index < this.choices.length; index += 1)
      if (index % this.choiceCount === 0) sum += (this.choices[index] as ChoiceProfile).cachedTokens;
    return sum;
  }

  get completionTokens(): number {
    let sum = 0;
    for (const { completionTokens } of this.choices) sum += completionTokens;
    return sum;
  }

  /**
   * What no engine was asked for is free, also beside one whose request is computed anyway, and so is what failed before anything came of
   * it; one that was left in the middle has taken nobody knows how many.
   */
  get tokensUsed(): number | undefined {
    const known = this.promptTokens + this.completionTokens;
    let spent = known;
    for (const { promptTokens, completionTokens } of this.spentBefore?.values() ?? []) spent += promptTokens + completionTokens;
    if (this.engine === undefined || this.cache === 'inflight') return spent;
    if (this.outcome === 'answered') return known > 0 ? spent : undefined;
    return this.outcome === 'failed' && this.firstTokenAtMs === undefined && known === 0 ? spent : undefined;
  }

  /** Mean time from a token of a choice to the next, as a client would measure it; undefined for answers of a single token. */
  get secondsPerToken(): number | undefined {
    const perChoice = this.completionTokens / Math.max(1, this.choices.length);
    if (this.firstTokenAtMs === undefined || this.endedAtMs === undefined || perChoice <= 1) return undefined;
    return (this.endedAtMs - this.firstTokenAtMs) / 1000 / (perChoice - 1);
  }

  header(): string {
    return formatServerTiming(this.times());
  }

  fields(): Record<string, number> {
    return toFields(this.times());
  }

  told(): Record<string, unknown> {
    const times = this.times();
    const bottleneck = this.#diagnoser?.look(this, times);
    const told: Record<string, unknown> = { timings: toFields(times) };
    if (bottleneck) told['bottleneck'] = bottleneckFields(bottleneck);
    return this.notes ? Object.assign(told, this.notes) : told;
  }

  #spend(segment: Segment, reason: string | undefined, durationMs: number): void {
    const spent = this.#find(segment, reason);
    if (spent) spent.durationMs += durationMs;
    else this.#spent.push({ segment, reason, durationMs });
  }

  #spendBefore({ model, promptTokens, completionTokens }: Extract<GatewayEvent, { type: 'tokens-spent' }>): void {
    const before = this.spentBefore?.get(model);
    (this.spentBefore ??= new Map()).set(model, {
      promptTokens: (before?.promptTokens ?? 0) + promptTokens,
      completionTokens: (before?.completionTokens ?? 0) + completionTokens,
    });
  }

  #find(segment: Segment, reason: string | undefined): SpentTime | undefined {
    for (const spent of this.#spent) if (spent.segment === segment && spent.reason === reason) return spent;
    return undefined;
  }

  #choice(index: number): ChoiceProfile {
    while (this.choices.length <= index) this.choices.push(new ChoiceProfile());
    return this.choices[index] as ChoiceProfile;
  }
}
