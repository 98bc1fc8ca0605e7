import { AutoglmError, type ErrorCode, type Lane } from '@open-autoglm/protocol';
import { chooseNext } from './choose-next.ts';
import type { EnginePool } from './engine-pool.ts';
import { batchPlaces, maySend, type LaneBounds } from './lanes.ts';
import { queuePolicies, type PolicyName, type QueuePolicy, type Situation } from './policies/index.ts';
import { workOf } from './policies/policy.ts';
import { TenantCounters, type TokenWeights } from './tenant-counters.ts';
import type { Ticket } from './ticket.ts';
import { WorkModel } from './work-model.ts';

export interface QueueSettings {
  readonly policy: PolicyName;
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
  /** Sequences under way. */
  readonly running: Record<Lane, number> = { realtime: 0, batch: 0 };
  /** In the order of arrival. */
  readonly waiting: Readonly<Record<Lane, Ticket[]>> = { realtime: [], batch: [] };
  readonly refused: Record<Lane, Map<ErrorCode, number>> = { realtime: new Map(), batch: new Map() };
  readonly #settings: QueueSettings;
  readonly #policy: QueuePolicy;
  readonly #clock: Clock;
  readonly #bounds: { -readonly [K in keyof LaneBounds]: LaneBounds[K] };
  #arrivals = 0;
  /** When somebody is due to leave the queue. */
  #alarmAtMs = Infinity;
  #callOff = () => {};

  constructor(pool: EnginePool, settings: QueueSettings, clock: Clock) {
    this.pool = pool;
    this.#settings = settings;
    this.#policy = queuePolicies[settings.policy];
    this.#clock = clock;
    this.timeSliceMs = settings.timeSliceMs;
    this.priorityWeight = settings.priorityWeight;
    this.tenants = new TenantCounters(settings.tokenWeights);
    this.#bounds = { limit: 0, max: pool.max, batchShareMin: settings.batchShareMin };
  }

  get msPerPromptToken(): number {
    return this.work.msPerPromptToken;
  }

  get msPerOutputToken(): number {
    return this.work.msPerOutputToken;
  }

  /** Whether tokens are to be charged to their tenants as they come. */
  get charges(): boolean {
    return this.#policy.changes;
  }

  now(): number {
    return this.#clock.now();
  }

  servedTo(tenant: string): number {
    return this.tenants.servedTo(tenant);
  }

  /**
   * Undefined: the request is under way. Else it waits, until the promise resolves, or rejects with what it is refused for. Throws
   * `queue_full` or `deadline_unreachable` at once where that is known. Whoever entered must `leave`.
   */
  enter(ticket: Ticket): Promise<void> | undefined {
    ticket.arrivedAtMs = this.#clock.now();
    ticket.order = this.#arrivals += 1;
    ticket.place = this.#policy.place(ticket, this);
    if (this.waiting[ticket.lane].length === 0 && this.#mayGo(ticket.lane)) {
      if (this.charges) this.tenants.enter(ticket.tenant);
      this.#send(ticket);
      return undefined;
    }
    this.#refuseWhatIsHopeless(ticket);
    if (this.charges) this.tenants.enter(ticket.tenant);
    return this.#wait(ticket);
  }

  /** It is over, sent or not. */
  leave(ticket: Ticket): void {
    if (this.charges) this.tenants.leave(ticket.tenant);
    if (ticket.sentAtMs === undefined) return this.#remove(ticket);
    this.running[ticket.lane] -= ticket.sequences;
    if (this.waiting.realtime.length + this.waiting.batch.length > 0) this.#sendWaiting();
  }

  #sendWaiting(): void {
    this.#dropLate();
    for (;;) {
      const lane = lanes.find((candidate) => this.waiting[candidate].length > 0 && this.#mayGo(candidate));
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

  /** Whether the batch lane has less than its share; it goes first then. */
  #owesBatch(): boolean {
    return this.running.batch < batchPlaces(this.#bounds.limit, this.#bounds.batchShareMin) && maySend('batch', this.running, this.#bounds);
  }

  #take(lane: Lane): Ticket {
    const waiting = this.waiting[lane];
    if (this.#policy.changes) for (const ticket of waiting) ticket.place = this.#policy.place(ticket, this);
    const index = chooseNext(waiting, { policy: this.#policy, nowMs: this.#clock.now(), agingMs: this.#settings.agingMs });
    for (let before = 0; before < index; before += 1) (waiting[before] as Ticket).waitsFor = 'overtaken';
    return waiting.splice(index, 1)[0] as Ticket;
  }

  #send(ticket: Ticket): void {
    const { lane, sequences, turn } = ticket;
    ticket.sentAtMs = turn ? this.#clock.now() : ticket.arrivedAtMs;
    this.running[lane] += sequences;
    ticket.runningCount = this.running.realtime + this.running.batch;
    if (this.charges) this.tenants.chargePrompt(ticket.tenant, ticket.promptTokens);
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
    const { lane, deadlineAtMs, arrivedAtMs } = ticket;
    const waiting = this.waiting[lane];
    if (waiting.length >= this.pool.queueMax) throw this.#refusal(ticket, 'queue_full', `${waiting.length} requests are waiting for this model already.`);
    if (this.work.count < answersMin) return;
    const waitMs = this.#waitOf(ticket);
    if (waitMs > this.#waitMsMaxOf(lane)) throw this.#refusal(ticket, 'queue_full', `The request would wait for about ${Math.ceil(waitMs)} ms, and ${this.#settings.waitMsMax} is the most (admission.max_wait_ms).`);
    if (deadlineAtMs === undefined || arrivedAtMs + waitMs + this.#workOf(ticket) <= deadlineAtMs) return;
    throw this.#refusal(ticket, 'deadline_unreachable', `The answer would not be complete within deadline_ms: about ${Math.ceil(waitMs)} ms would pass before it begins.`);
  }

  /** Until its turn comes: those before it, at the rate at which requests end. */
  #waitOf(ticket: Ticket): number {
    let ahead = ticket.sequences;
    for (const other of this.waiting[ticket.lane]) {
      if (!this.#policy.ages || chooseNext([other, ticket], { policy: this.#policy, nowMs: 0, agingMs: Infinity }) === 0) ahead += other.sequences;
    }
    return (ahead * this.work.meanMs) / this.pool.limit;
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

  /** When it has waited for too long, or would be too late, as answers take now. */
  #expect(ticket: Ticket): void {
    const { lane, arrivedAtMs, deadlineAtMs = Infinity } = ticket;
    ticket.leavesAtMs = Math.min(arrivedAtMs + this.#waitMsMaxOf(lane), deadlineAtMs - this.#workOf(ticket));
    if (ticket.leavesAtMs < Infinity) this.#wakeAt(ticket.leavesAtMs);
  }

  #onAlarm(): void {
    this.#sleep();
    this.#dropLate();
    for (const lane of lanes) for (const ticket of this.waiting[lane]) this.#expect(ticket);
  }

  /** Those that cannot be answered in time any more are told so now, and not when their time is over; nor do they take it from others. */
  #dropLate(): void {
    const nowMs = this.#clock.now();
    for (const lane of lanes) {
      const late = this.waiting[lane].filter((ticket) => ticket.leavesAtMs <= nowMs || (ticket.deadlineAtMs !== undefined && ticket.deadlineAtMs - this.#workOf(ticket) <= nowMs));
      for (const ticket of late) this.#giveUp(ticket, nowMs);
    }
  }

  /** Whoever waits for its turn leaves the queue when it hears of this. */
  #giveUp(ticket: Ticket, nowMs: number): void {
    const waitedMs = Math.round(nowMs - ticket.arrivedAtMs);
    const isLate = waitedMs >= this.#waitMsMaxOf(ticket.lane);
    const error = isLate
      ? this.#refusal(ticket, 'queue_full', `The request has waited for ${waitedMs} ms, and that is the most (admission.max_wait_ms).`)
      : this.#refusal(ticket, 'deadline_unreachable', `The request has waited for ${waitedMs} ms, and its answer cannot be complete within deadline_ms any more.`);
    const waiting = this.waiting[ticket.lane];
    waiting.splice(waiting.indexOf(ticket), 1);
    ticket.turn?.reject(error);
  }
}
