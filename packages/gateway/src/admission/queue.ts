import { AutoglmError, type ErrorCode, type Lane, type LevelSlices, type Standing } from '@open-autoglm/protocol';
import { keyOfTenant } from '../common/key-of-tenant.ts';
import { chooseNext, isBefore } from './choose-next.ts';
import type { EnginePool } from './engine-pool.ts';
import { batchPlaces, maySend, type LaneBounds } from './lanes.ts';
import { queuePolicies, type PolicyName, type QueuePolicy, type Situation } from './policies/index.ts';
import { workOf } from './policies/policy.ts';
import { TenantCounters, type TokenWeights } from './tenant-counters.ts';
import type { Ticket } from './ticket.ts';
import { WorkModel } from './work-model.ts';

export interface QueueSettings {
  readonly policy: PolicyName;
  /** `vtc`: keys are served alike, in weighted tokens, and so are the tenants of each, whose requests the policy orders. */
  readonly fairness: 'none' | 'vtc';
  readonly agingMs: number;
  /** In real time nobody waits for longer; nobody waits for what is of the batch lane. */
  readonly waitMsMax: number;
  readonly timeSliceMs: number;
  readonly priorityWeight: number;
  readonly batchShareMin: number;
  readonly tokenWeights: TokenWeights;
}

/** Time, as far as the queue needs it. */
export interface Clock {
  /** Milliseconds, as `performance.now()`. */
  now(): number;
  /** Returns what calls it off. */
  after(milliseconds: number, action: () => void): () => void;
}

/** Answers that must have been seen before anybody is refused for what is predicted. */
const answersMin = 8;
const retrySecondsMax = 60;
const lanes = ['realtime', 'batch'] as const satisfies Lane[];

/**
 * Who waits for the engines of one model, by lane, and who is under way. A request that finds room goes on at once: it
 * costs some comparisons, no promise and no timer. Both lanes are bounded apart, so that neither fills the other's.
 */
export class AdmissionQueue implements Situation {
  readonly pool: EnginePool;
  readonly work = new WorkModel();
  readonly tenants: TenantCounters;
  readonly timeSliceMs: number;
  readonly priorityWeight: number;
  /** Whether tenants are served alike, and their tokens are to be charged as they come. */
  readonly isFair: boolean;
  /** Sequences under way. */
  readonly running: Record<Lane, number> = { realtime: 0, batch: 0 };
  /** In the order of arrival. */
  readonly waiting: Readonly<Record<Lane, Ticket[]>> = { realtime: [], batch: [] };
  readonly refused: Record<Lane, Map<ErrorCode, number>> = { realtime: new Map(), batch: new Map() };
  readonly #settings: QueueSettings;
  /** Of each lane. */
  readonly #policies: Readonly<Record<Lane, QueuePolicy>>;
  readonly #slices: LevelSlices | undefined;
  readonly #clock: Clock;
  /**
   * Of each lane, those that were sent while no place was free and have not begun, as far as is known: they wait in an engine's own queue.
   */
  readonly #ahead: Readonly<Record<Lane, Set<Ticket>>> = { realtime: new Set(), batch: new Set() };
  readonly #bounds: { -readonly [K in keyof LaneBounds]: LaneBounds[K] };
  #arrivals = 0;
  /** When somebody is due to leave the queue. */
  #alarmAtMs = Infinity;
  #callOff = () => {};

  constructor(pool: EnginePool, settings: QueueSettings, clock: Clock) {
    this.pool = pool;
    this.#settings = settings;
    const policy: QueuePolicy = queuePolicies[settings.policy];
    // Nobody waits for a single request of the batch lane, but for the end of all: by predicted work the longest would be left for
    // then, when places stand empty, and what others have begun would be computed twice.
    this.#policies = { realtime: policy, batch: policy.sinks ? queuePolicies.fcfs : policy };
    this.#clock = clock;
    this.timeSliceMs = settings.timeSliceMs;
    this.priorityWeight = settings.priorityWeight;
    this.isFair = settings.fairness === 'vtc' || policy.isFair === true;
    // Among tenants the order of sending is what is fair.
    this.#slices =
      policy.sinks && !this.isFair ? { timeSliceMs: settings.timeSliceMs, priorityWeight: settings.priorityWeight } : undefined;
    this.tenants = new TenantCounters(settings.tokenWeights);
    this.#bounds = { limit: 0, max: pool.max, batchShareMin: settings.batchShareMin };
  }

  get msPerPromptToken(): number {
    return this.work.msPerPromptToken;
  }

  get msPerOutputToken(): number {
    return this.work.msPerOutputToken;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Where one that was sent stands in the engine's own queue: as here, or in the order of sending where that is what is fair. */
  standingOf({ lane, place, arrivedAtMs, expectedTokens }: Ticket): Standing {
    if (this.isFair) return { lane, level: 0, rank: 0, expectedTokens };
    return {
      lane,
      level: place.level,
      rank: place.rank,
      expectedTokens,
      waitsSinceMs: arrivedAtMs,
      slices: this.#policies[lane].sinks ? this.#slices : undefined,
    };
  }

  /**
   * Undefined: the request is under way. Else it waits, until the promise resolves, or rejects with what it is refused for. Throws
   * `queue_full` or `deadline_unreachable` at once where that is known. Whoever entered must `leave`.
   */
  enter(ticket: Ticket): Promise<void> | undefined {
    ticket.arrivedAtMs = this.#clock.now();
    ticket.order = this.#arrivals += 1;
    ticket.place = this.#policies[ticket.lane].place(ticket, this);
    if (this.waiting[ticket.lane].length === 0 && this.#mayGo(ticket.lane)) {
      if (this.isFair) this.tenants.enter(ticket.tenant);
      this.#send(ticket);
      return undefined;
    }
    this.#refuseWhatIsHopeless(ticket);
    if (this.isFair) this.tenants.enter(ticket.tenant);
    return this.#wait(ticket);
  }

  /** Its first part has come. */
  onFirstPart(ticket: Ticket): void {
    this.#ahead[ticket.lane].delete(ticket);
  }

  /** It is over, sent or not. */
  leave(ticket: Ticket): void {
    if (this.isFair) this.tenants.leave(ticket.tenant);
    if (ticket.sentAtMs === undefined) return this.#remove(ticket);
    this.#ahead[ticket.lane].delete(ticket);
    this.running[ticket.lane] -= ticket.sequences;
    this.onRoom();
  }

  /**
   * There may be more than when the last request ended: an engine has come back, and need not stand idle until another one's request ends.
   */
  onRoom(): void {
    if (this.waiting.realtime.length + this.waiting.batch.length > 0) this.#sendWaiting();
  }

  #sendWaiting(): void {
    this.#dropLate();
    for (;;) {
      const lane = lanes.find((candidate) => this.waiting[candidate].length > 0 && (this.#mayGo(candidate) || this.#mustGo(candidate)));
      if (lane === undefined) return;
      this.#send(this.#take(lane));
    }
  }

  /** Whether the lane's next one may go: within the bounds, and not before real time that waits, but for the batch lane's share. */
  #mayGo(lane: Lane): boolean {
    this.#bounds.limit = this.pool.limit;
    if (!maySend(lane, this.running, this.#bounds)) return false;
    if (lane === 'realtime') return this.waiting.batch.length === 0 || !this.#owesBatch();
    return this.waiting.realtime.length === 0 || this.#owesBatch();
  }

  /**
   * Whether the lane's first one has waited for the aging bound while one that came later waits in an engine's own queue, where it
   * would overtake it. That queue has the order of this one, so it is sent, beyond the limit, up to twice of it: the other lane keeps
   * its own.
   */
  #mustGo(lane: Lane): boolean {
    if (!this.#agesInEngine(lane) || this.#ahead[lane].size === 0) return false;
    const { order, arrivedAtMs } = this.waiting[lane][0] as Ticket;
    if (this.#clock.now() - arrivedAtMs < this.#settings.agingMs) return false;
    if (this.running[lane] >= 2 * this.#bounds.limit || this.running.realtime + this.running.batch >= this.pool.max) return false;
    for (const ahead of this.#ahead[lane]) if (ahead.order > order) return true;
    return false;
  }

  /** Among tenants the order of sending is what is fair, and other servers have an order of their own. */
  #agesInEngine(lane: Lane): boolean {
    return this.pool.countsSequences && !this.isFair && this.#policies[lane].ages;
  }

  /** Whether the batch lane has less than its share; it goes first then. */
  #owesBatch(): boolean {
    return this.running.batch < batchPlaces(this.#bounds.limit, this.#bounds.batchShareMin) && maySend('batch', this.running, this.#bounds);
  }

  #take(lane: Lane): Ticket {
    const waiting = this.waiting[lane];
    const served = this.isFair ? this.tenants : undefined;
    const index = chooseNext(waiting, { policy: this.#policies[lane], nowMs: this.#clock.now(), agingMs: this.#settings.agingMs, served });
    for (let before = 0; before < index; before += 1) (waiting[before] as Ticket).waitsFor = 'overtaken';
    return waiting.splice(index, 1)[0] as Ticket;
  }

  #send(ticket: Ticket): void {
    const { lane, sequences, turn } = ticket;
    ticket.sentAtMs = turn ? this.#clock.now() : ticket.arrivedAtMs;
    this.running[lane] += sequences;
    ticket.runningCount = this.running.realtime + this.running.batch;
    if (this.#agesInEngine(lane) && ticket.runningCount > this.pool.places) this.#ahead[lane].add(ticket);
    if (this.isFair) this.tenants.chargePrompt(ticket.tenant, ticket.promptTokens);
    turn?.resolve();
  }

  #wait(ticket: Ticket): Promise<void> {
    const { lane } = ticket;
    ticket.turn = Promise.withResolvers();
    ticket.waitsFor = lane === 'batch' && this.running.realtime > 0 ? 'realtime first' : 'engine full';
    this.waiting[lane].push(ticket);
    this.#expect(ticket);
    return ticket.turn.promise;
  }

  #remove(ticket: Ticket): void {
    const waiting = this.waiting[ticket.lane];
    const index = waiting.indexOf(ticket);
    if (index >= 0) waiting.splice(index, 1);
    // Whoever waits for it has left, and must not wait for ever.
    ticket.turn?.resolve();
    if (this.waiting.realtime.length + this.waiting.batch.length === 0) this.#sleep();
  }

  /** Throws where there is no room to wait, or no time. */
  #refuseWhatIsHopeless(ticket: Ticket): void {
    const waiting = this.waiting[ticket.lane];
    const isFull = waiting.length >= this.pool.queueMax;
    const displaced = isFull ? this.#displacedBy(ticket) : undefined;
    if (isFull && !displaced) throw this.#refusal(ticket, 'queue_full', `${waiting.length} requests are waiting for this model already.`);
    this.#refuseWhatIsLate(ticket, displaced);
    // Last: nobody gives its place to one that is refused itself.
    if (displaced)
      this.#turnAway(
        displaced,
        this.#refusal(
          displaced,
          'queue_full',
          `The queue is full, and this key or tenant has more requests in it than others, who have as much right to it.`,
        ),
      );
  }

  /** Throws where its turn would come too late, as answers take now, with `displaced` gone. */
  #refuseWhatIsLate(ticket: Ticket, displaced: Ticket | undefined): void {
    if (this.work.count < answersMin) return;
    const { lane, deadlineAtMs, arrivedAtMs } = ticket;
    const waitMs = this.#waitOf(ticket, displaced);
    if (waitMs > this.#waitMsMaxOf(lane))
      throw this.#refusal(
        ticket,
        'queue_full',
        `The request would wait for about ${Math.ceil(waitMs)} ms, and ${this.#settings.waitMsMax} is the most (admission.max_wait_ms).`,
      );
    if (deadlineAtMs === undefined || arrivedAtMs + waitMs + this.#workOf(ticket) <= deadlineAtMs) return;
    throw this.#refusal(
      ticket,
      'deadline_unreachable',
      `The answer would not be complete within deadline_ms: about ${Math.ceil(waitMs)} ms would pass before it begins.`,
    );
  }

  /**
   * Where keys are served alike, and their tenants, the room to wait is too: the last of the one that has most there goes, if it has more
   * than who comes.
   */
  #displacedBy({ lane, tenant }: Ticket): Ticket | undefined {
    if (!this.isFair) return undefined;
    const waiting = this.waiting[lane];
    const key = keyOfTenant(tenant);
    return (
      lastOfMost(waiting, keyOf, key) ??
      lastOfMost(
        waiting.filter((other) => keyOf(other) === key),
        tenantOf,
        tenant,
      )
    );
  }

  /** Until its turn comes: those before it, at the rate at which requests end. */
  #waitOf(ticket: Ticket, displaced: Ticket | undefined): number {
    const ahead = this.isFair ? this.#aheadOfTenant(ticket, displaced) : this.#aheadOf(ticket);
    return ((ahead + ticket.sequences) * this.work.meanMs) / this.pool.limit;
  }

  /** Sequences. */
  #aheadOf({ lane, place }: Ticket): number {
    let ahead = 0;
    for (const other of this.waiting[lane]) if (!this.#policies[lane].ages || !isBefore(place, other.place)) ahead += other.sequences;
    return ahead;
  }

  /** Sequences, as if the keys took turns, and the tenants of each. */
  #aheadOfTenant({ lane, tenant, sequences }: Ticket, displaced: Ticket | undefined): number {
    const waiting = this.waiting[lane].filter((other) => other !== displaced);
    const key = keyOfTenant(tenant);
    const ahead = aheadInTurn(
      waiting.filter((other) => keyOf(other) === key),
      tenantOf,
      tenant,
      sequences,
    );
    return (
      ahead +
      aheadInTurn(
        waiting.filter((other) => keyOf(other) !== key),
        keyOf,
        key,
        ahead + sequences,
      )
    );
  }

  #waitMsMaxOf(lane: Lane): number {
    return lane === 'realtime' ? this.#settings.waitMsMax : Infinity;
  }

  #workOf(ticket: Ticket): number {
    return this.work.count < answersMin ? 0 : workOf(ticket, this);
  }

  #refusal(ticket: Ticket, code: ErrorCode, message: string): AutoglmError {
    const { lane } = ticket;
    this.refused[lane].set(code, (this.refused[lane].get(code) ?? 0) + 1);
    // A place for it is free when those that wait beyond the bound have gone; half of them, so that not all come back at once too late.
    const drainMs = (this.waiting[lane].length * this.work.meanMs) / this.pool.limit / 2;
    return new AutoglmError(code, message, { retryAfterSeconds: Math.min(retrySecondsMax, Math.max(1, Math.ceil(drainMs / 1000))) });
  }

  #wakeAt(timeMs: number): void {
    if (timeMs >= this.#alarmAtMs) return;
    this.#sleep();
    this.#alarmAtMs = timeMs;
    this.#callOff = this.#clock.after(Math.max(0, timeMs - this.#clock.now()), () => this.#onAlarm());
  }

  #sleep(): void {
    this.#callOff();
    this.#callOff = () => {};
    this.#alarmAtMs = Infinity;
  }

  /** When it has waited for too long, or would be too late, as answers take now; and when nobody may overtake it any more. */
  #expect(ticket: Ticket): void {
    const { lane, arrivedAtMs, deadlineAtMs = Infinity } = ticket;
    const leavesAtMs = Math.min(arrivedAtMs + this.#waitMsMaxOf(lane), deadlineAtMs - this.#workOf(ticket));
    if (leavesAtMs < Infinity) this.#wakeAt(leavesAtMs);
    const agedAtMs = arrivedAtMs + this.#settings.agingMs;
    if (this.#agesInEngine(lane) && agedAtMs > this.#clock.now()) this.#wakeAt(agedAtMs);
  }

  #onAlarm(): void {
    this.#sleep();
    this.#sendWaiting();
    for (const lane of lanes) for (const ticket of this.waiting[lane]) this.#expect(ticket);
  }

  /** Those that cannot be answered in time any more are told so now, and not when their time is over; nor do they take it from others. */
  #dropLate(): void {
    const nowMs = this.#clock.now();
    for (const lane of lanes) {
      // Asked whenever a request ends, and mostly nobody is: it makes no list for that.
      if (!this.waiting[lane].some((ticket) => this.#isLate(ticket, nowMs))) continue;
      for (const ticket of this.waiting[lane].filter((one) => this.#isLate(one, nowMs))) this.#giveUp(ticket, nowMs);
    }
  }

  /** As answers take now: they may have become quicker since it came. */
  #isLate(ticket: Ticket, nowMs: number): boolean {
    return (
      ticket.arrivedAtMs + this.#waitMsMaxOf(ticket.lane) <= nowMs ||
      (ticket.deadlineAtMs !== undefined && ticket.deadlineAtMs - this.#workOf(ticket) <= nowMs)
    );
  }

  /** Whoever waits for its turn leaves the queue when it hears of this. */
  #giveUp(ticket: Ticket, nowMs: number): void {
    const waitedMs = Math.round(nowMs - ticket.arrivedAtMs);
    const isLate = waitedMs >= this.#waitMsMaxOf(ticket.lane);
    const error = isLate
      ? this.#refusal(ticket, 'queue_full', `The request has waited for ${waitedMs} ms, and that is the most (admission.max_wait_ms).`)
      : this.#refusal(
          ticket,
          'deadline_unreachable',
          `The request has waited for ${waitedMs} ms, and its answer cannot be complete within deadline_ms any more.`,
        );
    this.#turnAway(ticket, error);
  }

  #turnAway(ticket: Ticket, error: AutoglmError): void {
    const waiting = this.waiting[ticket.lane];
    waiting.splice(waiting.indexOf(ticket), 1);
    ticket.turn?.reject(error);
  }
}

const tenantOf = ({ tenant }: Ticket) => tenant;
const keyOf = ({ tenant }: Ticket) => keyOfTenant(tenant);

/** Of the one that has most of these, if it has more than `own` with one more. */
function lastOfMost(tickets: readonly Ticket[], ownerOf: (ticket: Ticket) => string, own: string): Ticket | undefined {
  const counts = sums(tickets, ownerOf, () => 1);
  const most = Math.max(...counts.values());
  return most > (counts.get(own) ?? 0) + 1 ? tickets.findLast((ticket) => counts.get(ownerOf(ticket)) === most) : undefined;
}

/**
 * Sequences before the last `sequences` of `own`, where all take turns: its own, and as many of each other one as of its own, if that has
 * so many.
 */
function aheadInTurn(tickets: readonly Ticket[], ownerOf: (ticket: Ticket) => string, own: string, sequences: number): number {
  const waiting = sums(tickets, ownerOf, (ticket) => ticket.sequences);
  const before = waiting.get(own) ?? 0;
  let ahead = before;
  for (const [owner, sum] of waiting) if (owner !== own) ahead += Math.min(sum, before + sequences);
  return ahead;
}

function sums(tickets: readonly Ticket[], ownerOf: (ticket: Ticket) => string, of: (ticket: Ticket) => number): Map<string, number> {
  const found = new Map<string, number>();
  for (const ticket of tickets) found.set(ownerOf(ticket), (found.get(ownerOf(ticket)) ?? 0) + of(ticket));
  return found;
}
